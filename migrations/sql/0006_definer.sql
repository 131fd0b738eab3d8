-- For wb_definer, who owns them. Statements are separated by lines that hold only "--;".

-- The same as before, but who asks is found once a statement and not once for each project: every policy calls these.
CREATE OR REPLACE FUNCTION wb.readable_projects() RETURNS uuid[]
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(p.id), '{}') FROM wb.projects p
    WHERE p.is_public OR p.user_id = (SELECT wb.me())
       OR p.id IN (SELECT m.project_id FROM wb.project_members m WHERE m.user_id = (SELECT wb.me()))
$$
--;
CREATE OR REPLACE FUNCTION wb.editable_projects() RETURNS uuid[]
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(p.id), '{}') FROM wb.projects p
    WHERE p.user_id = (SELECT wb.me())
       OR p.id IN (SELECT m.project_id FROM wb.project_members m WHERE m.user_id = (SELECT wb.me()) AND m.role = 'editor')
$$
--;
CREATE OR REPLACE FUNCTION wb.visible_users() RETURNS uuid[]
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT array_agg(DISTINCT u) FROM (
        SELECT wb.me() AS u
        UNION ALL SELECT p.user_id FROM wb.projects p WHERE p.id = ANY ((SELECT wb.readable_projects())::uuid[])
        UNION ALL SELECT m.user_id FROM wb.project_members m WHERE m.project_id = ANY ((SELECT wb.readable_projects())::uuid[])
    ) AS everybody
$$
