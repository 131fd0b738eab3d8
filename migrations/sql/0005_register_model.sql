-- A model is shared by everybody, so a person may add one, and fill in what is not known yet, but change nothing.
-- Advice and options to begin with come from the model's family where nobody has written better ones.
CREATE OR REPLACE FUNCTION wb.register_model(
    model_id text, model_name text, provider text, context_length integer DEFAULT NULL,
    max_tokens integer DEFAULT NULL, supports_streaming boolean DEFAULT true
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    model uuid;
    family wb.model_families;
BEGIN
    IF wb.me() IS NULL THEN
        RAISE EXCEPTION 'no person belongs to login %', session_user USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT * INTO family FROM wb.model_families f WHERE f.name = wb.model_family(register_model.model_id);
    INSERT INTO wb.model_configs AS m (model_id, model_name, provider, context_length, max_tokens, supports_streaming,
                                       settings, best_practices)
    VALUES (register_model.model_id, register_model.model_name, register_model.provider,
            register_model.context_length, register_model.max_tokens, register_model.supports_streaming,
            coalesce(family.settings, '{}'), coalesce(family.best_practices, '{}'))
    ON CONFLICT ON CONSTRAINT uq_model_configs_model_id DO UPDATE
        SET context_length = coalesce(m.context_length, excluded.context_length),
            max_tokens = coalesce(m.max_tokens, excluded.max_tokens),
            settings = CASE WHEN m.settings = '{}' THEN excluded.settings ELSE m.settings END,
            best_practices = CASE WHEN m.best_practices = '{}' THEN excluded.best_practices ELSE m.best_practices END
    RETURNING m.id INTO model;
    RETURN model;
END
$$
