-- The content of a version never changes; a new text, or another included version, is a new version.
CREATE OR REPLACE FUNCTION wb.freeze_prompt() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF ROW(NEW.id, NEW.project_id, NEW.user_id, NEW.root_id, NEW.parent_id, NEW.version, NEW.kind, NEW.content,
           NEW.system_prompt, NEW.variables, NEW.settings, NEW.includes, NEW.content_hash, NEW.created_at)
       IS DISTINCT FROM
       ROW(OLD.id, OLD.project_id, OLD.user_id, OLD.root_id, OLD.parent_id, OLD.version, OLD.kind, OLD.content,
           OLD.system_prompt, OLD.variables, OLD.settings, OLD.includes, OLD.content_hash, OLD.created_at) THEN
        RAISE EXCEPTION 'version % of prompt "%" is frozen; save a new version instead', OLD.version, OLD.title
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$
--;
CREATE OR REPLACE VIEW wb.v_prompts WITH (security_invoker = true) AS
SELECT p.id AS prompt_id, p.root_id, p.parent_id, j.name AS project, p.title AS prompt, p.version,
       l.label, p.content, p.system_prompt, p.variables, p.settings, p.tags, p.note, p.kind,
       u.username AS author, p.created_at, p.archived_at, p.includes
FROM wb.prompts p
JOIN wb.projects j ON j.id = p.project_id
LEFT JOIN wb.users u ON u.id = p.user_id
LEFT JOIN (SELECT prompt_id, string_agg(name, ', ' ORDER BY name) AS label FROM wb.prompt_labels GROUP BY prompt_id) l
       ON l.prompt_id = p.id
