-- The family of a model: the first one whose pattern is found in its id. A provider's or endpoint's name
-- says nothing about the model (an endpoint may be called qwen-box), but for the fake, which is one.
CREATE FUNCTION wb.model_family(model_id text) RETURNS text
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $$
    SELECT f.name FROM wb.model_families f
    WHERE CASE WHEN model_id LIKE 'fake/%' THEN model_id ELSE regexp_replace(model_id, '^[^/]*/', '') END ~* f.pattern
    ORDER BY f.rank, f.name LIMIT 1
$$
