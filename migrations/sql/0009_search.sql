-- Search, quicker: of a word that is neither common nor rare, the index reads the newest hits only. Statements are separated by lines
-- that hold only "--;".

-- The best of the newest prompts with these words, or with a title like this, that this person may read.
-- A policy would keep @@, @> and <% from their indexes, because they are not leakproof; so this function reads past
-- the policies and applies their predicate itself. Its caller reads the rows, and the policies apply a second time.
--
-- Of a common word only the newest hits are ranked. How common it is, the planner knows from its statistics of words. There
-- are three ways to the newest hits:
--   * walk back by time, and look into the words of each row, until there are enough: for common words;
--   * let the index of words and the index of time agree on rows that are new enough to hold twice as many: for the others;
--   * let the index of words find all of them: for rare ones, and where one of the others did not meet enough.
-- A row of the walk costs about as much as twenty that an index names (5 and 0.25 µs), and less where a filter keeps most
-- rows from being looked into.
--
-- Whoever may read at most 500 rows has their own rows read one by one, so that not even the time that it takes
-- tells what others have written.
CREATE OR REPLACE FUNCTION wb.search_ids(
    query tsquery, similar_title text DEFAULT NULL, max_rows integer DEFAULT 20, projects uuid[] DEFAULT NULL,
    tag text DEFAULT NULL, variable text DEFAULT NULL, model text DEFAULT NULL, label text DEFAULT NULL,
    since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL,
    scratch boolean DEFAULT false, all_versions boolean DEFAULT false
) RETURNS TABLE (prompt_id uuid, rank real)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 20  -- a stable function may not ask the planner
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = auto  -- what is planned anew at each call is what depends on the question
SET pg_trgm.word_similarity_threshold = 0.5
SET enable_seqscan = off
SET enable_indexscan = on
SET work_mem = '64MB'
SET jit = off
SET max_parallel_workers_per_gather = 0
AS $$
#variable_conflict use_column
DECLARE
    mine uuid[] := wb.readable_projects();
    shown integer := least(greatest(max_rows, 1), 1000);
    wanted integer := greatest(60, 3 * shown);
    total float8 := (SELECT reltuples FROM pg_class WHERE oid = 'wb.prompts'::regclass);
    named text[] := ARRAY[model, 'openrouter/' || model, regexp_replace(model, '^openrouter/', '')];
    models uuid[] := ARRAY(SELECT m.id FROM wb.model_configs m WHERE m.model_id = ANY (named));
    variables jsonb := CASE WHEN variable IS NOT NULL THEN jsonb_build_array(jsonb_build_object('name', variable)) END;
    -- Only what narrows: to plan a condition that says nothing takes as long as to plan one that does.
    condition CONSTANT text := 'p.project_id = ANY ($1) AND p.kind = ''prompt'' AND p.archived_at IS NULL'
        || CASE WHEN scratch THEN '' ELSE ' AND p.title NOT LIKE ''scratch/%''' END
        || CASE WHEN tag IS NULL THEN '' ELSE ' AND p.tags @> ARRAY[$3]' END
        || CASE WHEN variable IS NULL THEN '' ELSE ' AND p.variables @> $4' END
        || CASE WHEN model IS NULL THEN '' ELSE ' AND (p.settings -> ''model'' ?| $5 OR EXISTS ('
            'SELECT FROM wb.executions e WHERE e.prompt_id = p.id AND e.model_config_id = ANY ($6)))' END
        || CASE WHEN label IS NULL THEN '' ELSE ' AND EXISTS (SELECT FROM wb.prompt_labels l'
            ' WHERE l.root_id = p.root_id AND l.name = $7 AND l.prompt_id = p.id)' END
        || CASE WHEN since IS NULL THEN '' ELSE ' AND p.created_at >= $8' END
        || CASE WHEN until IS NULL THEN '' ELSE ' AND p.created_at < $9' END
        || ' AND p.root_id <> ALL ($10)';
    narrow CONSTANT boolean := coalesce(tag, variable, model, label) IS NOT NULL;
    latest CONSTANT text := ' OFFSET 0) h ORDER BY h.created_at DESC, h.id LIMIT $12) h';
    newest text;
    walk text;
    lookup text;
    seen uuid[] := '{}';
    candidates uuid[] := '{}';
    found uuid[];
    families uuid[];
    few boolean;
    estimate json;
    everywhere float8 := 0;  -- rows that the index would name
    hits float8 := 0;        -- those of them that are wanted
    reach float8 := total;   -- rows that a walk could meet
    way integer;             -- how many it reads at most; all of them, if null
    oldest timestamptz;      -- of the rows that are new enough, if not all of them are looked for
    walks boolean := false;
BEGIN
    IF projects IS NOT NULL THEN
        mine := ARRAY(SELECT unnest(mine) INTERSECT SELECT unnest(projects));
    END IF;
    -- Without the empty ones: most people have one project that they work in, and an empty default.
    mine := ARRAY(SELECT m FROM unnest(mine) m WHERE EXISTS (SELECT FROM wb.prompts t WHERE t.project_id = m));
    -- The scan of the index by time gives the order, and ends at the last row that is wanted; a sort would not.
    newest := CASE WHEN cardinality(mine) = 1 THEN 'WHERE project_id = ($1)[1] ' ELSE '' END || 'ORDER BY created_at DESC ';
    walk := 'SELECT array_agg(w.id), array_agg(DISTINCT w.root_id) FROM (SELECT h.id, h.root_id FROM ('
        'SELECT p.id, p.root_id, p.search FROM (SELECT * FROM wb.prompts ' || newest || 'LIMIT $13) p WHERE ' || condition
        || ' OFFSET 0) h WHERE h.search @@ $11 LIMIT $12) w';
    few := (SELECT count(*) FROM (SELECT FROM wb.prompts p WHERE p.project_id = ANY (mine) LIMIT 501) r) <= 500;
    lookup := 'SELECT array_agg(h.id), array_agg(DISTINCT h.root_id) FROM (SELECT h.id, h.root_id FROM ('
        'SELECT p.id, p.root_id, p.created_at FROM wb.prompts p WHERE '
        || CASE WHEN query IS NULL THEN '$11::tsquery IS NULL'
                WHEN few THEN '(p.search @@ $11) IS TRUE'  -- a form that no index knows
                ELSE 'p.search @@ $11' END || ' AND ' || condition;
    IF query IS NOT NULL AND total > 10000 AND NOT few THEN
        EXECUTE 'EXPLAIN (FORMAT JSON) SELECT FROM wb.prompts p WHERE p.search @@ $11 AND ' || condition INTO estimate
        USING mine, scratch, tag, variables, named, models, label, since, until, seen, query;
        hits := greatest((estimate #>> '{0,Plan,Plan Rows}')::float8, 1);
        everywhere := hits;
        IF narrow OR cardinality(mine) = 1 THEN
            EXECUTE 'EXPLAIN (FORMAT JSON) SELECT FROM wb.prompts p WHERE p.search @@ $1' INTO estimate USING query;
            everywhere := (estimate #>> '{0,Plan,Plan Rows}')::float8;
        END IF;
        IF cardinality(mine) = 1 THEN
            EXECUTE 'EXPLAIN (FORMAT JSON) SELECT FROM wb.prompts p WHERE p.project_id = $1' INTO estimate USING mine[1];
            reach := (estimate #>> '{0,Plan,Plan Rows}')::float8;
        END IF;
        way := CASE WHEN hits > 2 * wanted THEN ceil(2 * reach * wanted / hits) END;
        walks := CASE WHEN narrow THEN 10 ELSE 20 END * reach * least(wanted / hits, 1) < everywhere + 20 * wanted;
        IF NOT walks AND way < 16 * hits THEN  -- to count the way costs a sixteenth of reading as many hits
            EXECUTE 'SELECT created_at FROM wb.prompts ' || newest || 'OFFSET $2 LIMIT 1' INTO oldest USING mine, way;
        END IF;
    END IF;
    -- A family of very many versions must not keep the others out: then once more without it.
    FOR round IN 1 .. 4 LOOP
        EXIT WHEN query IS NULL AND similar_title IS NOT NULL;
        found := NULL;
        IF walks THEN
            EXECUTE walk INTO found, families
            USING mine, scratch, tag, variables, named, models, label, since, until, seen, query, wanted, way;
        ELSIF oldest IS NOT NULL THEN
            PERFORM set_config('enable_indexscan', 'off', true);  -- the planner would look into the words of every new row
            EXECUTE lookup || ' AND p.created_at >= $13' || latest INTO found, families
            USING mine, scratch, tag, variables, named, models, label, since, until, seen, query, wanted, oldest;
            PERFORM set_config('enable_indexscan', 'on', true);
        END IF;
        IF NOT (walks OR oldest IS NOT NULL) OR (way IS NOT NULL AND coalesce(cardinality(found), 0) < wanted) THEN
            EXECUTE lookup || latest INTO found, families
            USING mine, scratch, tag, variables, named, models, label, since, until, seen, query, wanted;
        END IF;
        EXIT WHEN found IS NULL;
        candidates := candidates || found;
        EXIT WHEN cardinality(found) < wanted;
        IF round = 1 AND query IS NOT NULL THEN  -- what is called so is meant, however old it is
            EXECUTE 'SELECT $11 || array_agg(h.id) FROM (SELECT p.id FROM wb.prompts p'
                ' WHERE to_tsvector(''english'', translate(p.title, ''/._'', ''   '')) @@ $12 AND ' || condition
                || ' LIMIT $13) h'
            INTO candidates
            USING mine, scratch, tag, variables, named, models, label, since, until, seen, candidates, query, wanted;
        END IF;
        EXIT WHEN all_versions;
        seen := seen || families;
        EXIT WHEN cardinality(seen) >= shown;
    END LOOP;
    IF similar_title IS NOT NULL THEN
        seen := '{}';
        EXECUTE 'SELECT $11 || array_agg(h.id) FROM (SELECT p.id FROM wb.prompts p WHERE $12 OPERATOR(public.<%) p.title AND '
            || condition || ' ORDER BY public.word_similarity($12, p.title) DESC, p.created_at DESC, p.id LIMIT $13) h'
        INTO candidates
        USING mine, scratch, tag, variables, named, models, label, since, until, seen, candidates, similar_title, wanted;
    END IF;
    RETURN QUERY
    SELECT f.id, f.score
    FROM (
        SELECT DISTINCT ON (CASE WHEN all_versions THEN p.id ELSE p.root_id END)
               p.id, p.created_at,
               greatest(CASE WHEN query IS NULL THEN 0 ELSE ts_rank(p.search, query, 1) END,
                        CASE WHEN similar_title IS NOT NULL THEN public.word_similarity(similar_title, p.title) END) AS score
        FROM wb.prompts p
        WHERE p.id = ANY (candidates)
        ORDER BY CASE WHEN all_versions THEN p.id ELSE p.root_id END, p.version DESC
    ) f
    ORDER BY f.score DESC, f.created_at DESC, f.id
    LIMIT shown;
END
$$
--;
-- The same for what models answered. The key has two columns, as everything that refers to an execution.
CREATE OR REPLACE FUNCTION wb.search_output_ids(
    query tsquery, max_rows integer DEFAULT 20, projects uuid[] DEFAULT NULL, prompts uuid[] DEFAULT NULL,
    models uuid[] DEFAULT NULL, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, status text DEFAULT NULL
) RETURNS TABLE (execution_id uuid, run_at timestamptz, rank real)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 20  -- a stable function may not ask the planner
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = auto  -- what is planned anew at each call is what depends on the question
SET enable_seqscan = off
SET enable_indexscan = on
SET work_mem = '64MB'
SET jit = off
SET max_parallel_workers_per_gather = 0
AS $$
#variable_conflict use_column
DECLARE
    mine uuid[] := wb.readable_projects();
    shown integer := least(greatest(max_rows, 1), 1000);
    wanted integer := greatest(60, 3 * shown);
    total float8 := (SELECT reltuples FROM pg_class WHERE oid = 'wb.execution_words'::regclass);
    condition CONSTANT text := 'e.project_id = ANY ($1)'
        || CASE WHEN prompts IS NULL THEN '' ELSE ' AND e.prompt_id = ANY ($2)' END
        || CASE WHEN models IS NULL THEN '' ELSE ' AND e.model_config_id = ANY ($3)' END
        || CASE WHEN since IS NULL THEN '' ELSE ' AND e.created_at >= $4' END
        || CASE WHEN until IS NULL THEN '' ELSE ' AND e.created_at < $5' END
        || CASE WHEN status IS NULL THEN '' ELSE ' AND e.status = $6' END;
    narrow CONSTANT boolean := prompts IS NOT NULL OR models IS NOT NULL OR status IS NOT NULL;
    latest CONSTANT text := ' OFFSET 0) h ORDER BY h.created_at DESC, h.execution_id LIMIT $8) h';
    newest text;
    walk text;
    lookup text;
    found uuid[];
    few boolean;
    estimate json;
    everywhere float8 := 0;  -- rows that the index would name
    hits float8 := 0;        -- those of them that are wanted
    reach float8 := total;   -- rows that a walk could meet
    way integer;             -- how many it reads at most; all of them, if null
    oldest timestamptz;      -- of the rows that are new enough, if not all of them are looked for
    walks boolean := false;
BEGIN
    IF projects IS NOT NULL THEN
        mine := ARRAY(SELECT unnest(mine) INTERSECT SELECT unnest(projects));
    END IF;
    -- Without the empty ones: most people have one project that they work in, and an empty default.
    mine := ARRAY(SELECT m FROM unnest(mine) m WHERE EXISTS (SELECT FROM wb.execution_words t WHERE t.project_id = m));
    -- The scan of the index by time gives the order, and ends at the last row that is wanted; a sort would not.
    newest := CASE WHEN cardinality(mine) = 1 THEN 'WHERE project_id = ($1)[1] ' ELSE '' END || 'ORDER BY created_at DESC ';
    walk := 'SELECT array_agg(w.execution_id) FROM (SELECT h.execution_id FROM ('
        'SELECT e.execution_id, e.search FROM (SELECT * FROM wb.execution_words ' || newest || 'LIMIT $9) e WHERE ' || condition
        || ' OFFSET 0) h WHERE h.search @@ $7 LIMIT $8) w';
    few := (SELECT count(*) FROM (SELECT FROM wb.execution_words e WHERE e.project_id = ANY (mine) LIMIT 501) r) <= 500;
    lookup := 'SELECT array_agg(h.execution_id) FROM (SELECT h.execution_id FROM ('
        'SELECT e.execution_id, e.created_at FROM wb.execution_words e WHERE '
        || CASE WHEN few THEN '(e.search @@ $7) IS TRUE' ELSE 'e.search @@ $7' END || ' AND ' || condition;
    IF total > 10000 AND NOT few THEN
        EXECUTE 'EXPLAIN (FORMAT JSON) SELECT FROM wb.execution_words e WHERE e.search @@ $7 AND ' || condition INTO estimate
        USING mine, prompts, models, since, until, status, query;
        hits := greatest((estimate #>> '{0,Plan,Plan Rows}')::float8, 1);
        everywhere := hits;
        IF narrow OR cardinality(mine) = 1 THEN
            EXECUTE 'EXPLAIN (FORMAT JSON) SELECT FROM wb.execution_words e WHERE e.search @@ $1' INTO estimate USING query;
            everywhere := (estimate #>> '{0,Plan,Plan Rows}')::float8;
        END IF;
        IF cardinality(mine) = 1 THEN
            EXECUTE 'EXPLAIN (FORMAT JSON) SELECT FROM wb.execution_words e WHERE e.project_id = $1' INTO estimate USING mine[1];
            reach := (estimate #>> '{0,Plan,Plan Rows}')::float8;
        END IF;
        way := CASE WHEN hits > 2 * wanted THEN ceil(2 * reach * wanted / hits) END;
        walks := CASE WHEN narrow THEN 10 ELSE 20 END * reach * least(wanted / hits, 1) < everywhere + 20 * wanted;
        IF NOT walks AND way < 16 * hits THEN  -- to count the way costs a sixteenth of reading as many hits
            EXECUTE 'SELECT created_at FROM wb.execution_words ' || newest || 'OFFSET $2 LIMIT 1' INTO oldest USING mine, way;
        END IF;
    END IF;
    IF walks THEN
        EXECUTE walk INTO found USING mine, prompts, models, since, until, status, query, wanted, way;
    ELSIF oldest IS NOT NULL THEN
        PERFORM set_config('enable_indexscan', 'off', true);
        EXECUTE lookup || ' AND e.created_at >= $9' || latest INTO found
        USING mine, prompts, models, since, until, status, query, wanted, oldest;
        PERFORM set_config('enable_indexscan', 'on', true);
    END IF;
    IF NOT (walks OR oldest IS NOT NULL) OR (way IS NOT NULL AND coalesce(cardinality(found), 0) < wanted) THEN
        EXECUTE lookup || latest INTO found USING mine, prompts, models, since, until, status, query, wanted;
    END IF;
    RETURN QUERY
    SELECT e.execution_id, e.run_at, ts_rank(e.search, query, 1) AS score
    FROM wb.execution_words e
    WHERE e.execution_id = ANY (found)
    ORDER BY score DESC, e.created_at DESC, e.execution_id
    LIMIT shown;
END
$$
