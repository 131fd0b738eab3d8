-- Search and statistics. Statements are separated by lines that hold only "--;".

-- PostgreSQL's own functions from text[] to text are not immutable, as a generated column needs.
CREATE FUNCTION wb.tag_words(tags text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT array_to_string(tags, ' ')
$$
--;
GRANT EXECUTE ON FUNCTION wb.tag_words(text[]) TO wb_user
--;
-- The words that may be meant when one is misspelt: lower case, as they are written, without the too common ones.
CREATE FUNCTION wb.distinct_words(document text) RETURNS SETOF text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT lower(t.token) COLLATE "C"
    FROM ts_parse('default', translate(document, '/._', '   ')) t
    WHERE t.tokid IN (1, 2, 10, 11)  -- words and parts of hyphenated words; no numbers, addresses, markup
      AND length(t.token) BETWEEN 3 AND 40 AND ts_lexize('english_stem', lower(t.token)) <> '{}'
$$
--;
-- Each project's own words: two projects share nothing here, so that nobody is offered a word of somebody else's.
-- Not unique: two people who save the same new word at once do not wait for each other.
CREATE FUNCTION wb_priv.learn_words() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO wb.prompt_words (project_id, word)
    SELECT NEW.project_id, w
    FROM wb.distinct_words(concat_ws(' ', NEW.title, array_to_string(NEW.tags, ' '), NEW.note,
         CASE TG_OP WHEN 'INSERT' THEN left(NEW.content, 100000) END,
         CASE TG_OP WHEN 'INSERT' THEN left(NEW.system_prompt, 100000) END)) w
    WHERE NOT EXISTS (SELECT FROM wb.prompt_words k WHERE k.project_id = NEW.project_id AND k.word = w);
    RETURN NULL;
END
$$
--;
-- The best of the newest prompts with these words, or with a title like this, that this person may read.
-- A policy would keep @@, @> and <% from their indexes, because they are not leakproof; so this function reads past
-- the policies and applies their predicate itself. Its caller reads the rows, and the policies apply a second time.
--
-- Of a common word only the newest hits are ranked. Whether it is common is seen in a few hundred of the newest rows:
-- if it is, walking back by time meets enough hits soon; if not, the index finds them all, and there are few. With
-- share s of the rows, the walk reads wanted / s of them, the index s * total; a row of the walk costs about twice as
-- much. The walk ends after twice the expected way; then the index is asked after all.
--
-- Whoever may read at most 500 rows has their own rows read one by one, so that not even the time that it takes
-- tells what others have written.
CREATE FUNCTION wb.search_ids(
    query tsquery, similar_title text DEFAULT NULL, max_rows integer DEFAULT 20, projects uuid[] DEFAULT NULL,
    tag text DEFAULT NULL, variable text DEFAULT NULL, model text DEFAULT NULL, label text DEFAULT NULL,
    since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL,
    scratch boolean DEFAULT false, all_versions boolean DEFAULT false
) RETURNS TABLE (prompt_id uuid, rank real)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 20
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET pg_trgm.word_similarity_threshold = 0.5
SET enable_seqscan = off
SET jit = off
SET max_parallel_workers_per_gather = 0
AS $$
#variable_conflict use_column
DECLARE
    mine uuid[] := wb.readable_projects();
    shown integer := least(greatest(max_rows, 1), 1000);
    wanted integer := greatest(100, 4 * shown);
    total float8 := (SELECT reltuples FROM pg_class WHERE oid = 'wb.prompts'::regclass);
    named text[] := ARRAY[model, 'openrouter/' || model, regexp_replace(model, '^openrouter/', '')];
    models uuid[] := ARRAY(SELECT m.id FROM wb.model_configs m WHERE m.model_id = ANY (named));
    variables jsonb := CASE WHEN variable IS NOT NULL THEN jsonb_build_array(jsonb_build_object('name', variable)) END;
    condition CONSTANT text := $condition$
        p.project_id = ANY ($1) AND p.kind = 'prompt' AND p.archived_at IS NULL
        AND ($2 OR p.title NOT LIKE 'scratch/%')
        AND ($3 IS NULL OR p.tags @> ARRAY[$3])
        AND ($4 IS NULL OR p.variables @> $4)
        AND ($5[1] IS NULL OR p.settings -> 'model' ?| $5 OR EXISTS (
            SELECT FROM wb.executions e WHERE e.prompt_id = p.id AND e.model_config_id = ANY ($6)))
        AND ($7 IS NULL OR EXISTS (
            SELECT FROM wb.prompt_labels l WHERE l.root_id = p.root_id AND l.name = $7 AND l.prompt_id = p.id))
        AND ($8 IS NULL OR p.created_at >= $8) AND ($9 IS NULL OR p.created_at < $9)
        AND p.root_id <> ALL ($10)
    $condition$;
    -- The scan of the index by time gives the order, and ends at the last row that is wanted; a sort would not.
    walk CONSTANT text := '(SELECT p.id, p.root_id, p.search FROM (SELECT * FROM wb.prompts ORDER BY created_at DESC LIMIT $12) p WHERE '
        || condition || ' OFFSET 0) h WHERE h.search @@ $11';
    seen uuid[] := '{}';
    candidates uuid[] := '{}';
    found uuid[];
    families uuid[];
    few boolean;
    sample CONSTANT integer := CASE WHEN total > 300000 THEN 500 ELSE 250 END;
    met integer := 0;
BEGIN
    IF projects IS NOT NULL THEN
        mine := ARRAY(SELECT unnest(mine) INTERSECT SELECT unnest(projects));
    END IF;
    few := (SELECT count(*) FROM (SELECT FROM wb.prompts p WHERE p.project_id = ANY (mine) LIMIT 501) r) <= 500;
    IF query IS NOT NULL AND total > 10000 AND NOT few THEN
        EXECUTE 'SELECT count(*) FROM ' || walk INTO met
        USING mine, scratch, tag, variables, named, models, label, since, until, seen, query, sample;
    END IF;
    -- A family of very many versions must not keep the others out: then once more without it.
    FOR round IN 1 .. 4 LOOP
        EXIT WHEN query IS NULL AND similar_title IS NOT NULL;
        found := NULL;
        IF met::float8 * met * total > 2.0 * wanted * sample * sample THEN
            EXECUTE 'SELECT array_agg(w.id), array_agg(DISTINCT w.root_id) FROM (SELECT h.id, h.root_id FROM ' || walk
                || ' LIMIT $13) w'
            INTO found, families
            USING mine, scratch, tag, variables, named, models, label, since, until, seen, query, 2 * sample * wanted / met, wanted;
        END IF;
        IF found IS NULL OR cardinality(found) < wanted THEN
            EXECUTE 'SELECT array_agg(h.id), array_agg(DISTINCT h.root_id) FROM (SELECT h.id, h.root_id FROM ('
                'SELECT p.id, p.root_id, p.created_at FROM wb.prompts p WHERE ('
                || CASE WHEN query IS NULL THEN '$11::tsquery IS NULL'
                        WHEN few THEN '(p.search @@ $11) IS TRUE'  -- a form that no index knows
                        ELSE 'p.search @@ $11' END || ') AND ' || condition
                || ' OFFSET 0) h ORDER BY h.created_at DESC, h.id LIMIT $12) h'
            INTO found, families
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
-- Up to which answer of each project the words are kept.
CREATE TABLE wb_priv.kept_words (
    project_id uuid PRIMARY KEY REFERENCES wb.projects (id) ON DELETE CASCADE,
    until timestamptz NOT NULL
)
--;
-- Keeps the words of answers that came since the last time, in the projects that this person may read, oldest first;
-- returns of how many. To find the words of an answer takes ten times as long as to store it, so the ledger does not wait
-- for it: the search does. Half a minute is looked at again, for what was committed later than it was finished. The
-- bound keeps an answer of any size below the megabyte that a tsvector can hold.
CREATE FUNCTION wb.keep_words(max_rows integer DEFAULT 1000) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
DECLARE
    project uuid;
    known timestamptz;
    n integer;
    kept integer := 0;
BEGIN
    FOREACH project IN ARRAY wb.readable_projects() LOOP
        known := coalesce((SELECT k.until FROM wb_priv.kept_words k WHERE k.project_id = project), '-infinity');
        WITH fresh AS (
            SELECT e.id, e.run_at, e.prompt_id, e.model_config_id, e.status, e.created_at, e.finished_at, e.answer
            FROM wb.executions e
            WHERE e.project_id = project AND e.finished_at > known - interval '30 s'
              AND e.answer IS NOT NULL AND e.purpose = 'run'
              AND NOT EXISTS (SELECT FROM wb.execution_words w WHERE w.execution_id = e.id AND w.run_at = e.run_at)
            ORDER BY e.finished_at
            LIMIT least(greatest(max_rows, 1), 10000) - kept
        ), added AS (
            INSERT INTO wb.execution_words
                (execution_id, run_at, project_id, prompt_id, model_config_id, status, created_at, search)
            SELECT f.id, f.run_at, project, f.prompt_id, f.model_config_id, f.status, f.created_at,
                   to_tsvector('english', translate(left(f.answer, 60000), '/._', '   '))
            FROM fresh f
            ON CONFLICT DO NOTHING
        )
        SELECT count(*) INTO n FROM fresh;
        kept := kept + n;
        EXIT WHEN kept >= least(greatest(max_rows, 1), 10000);  -- there may be more: the mark stays behind
        IF n > 0 OR known = '-infinity' THEN
            INSERT INTO wb_priv.kept_words AS k (project_id, until) VALUES (project, now())
            ON CONFLICT (project_id) DO UPDATE SET until = greatest(k.until, excluded.until);
        END IF;
    END LOOP;
    RETURN kept;
END
$$
--;
-- The same for what models answered. The key has two columns, as everything that refers to an execution.
CREATE FUNCTION wb.search_output_ids(
    query tsquery, max_rows integer DEFAULT 20, projects uuid[] DEFAULT NULL, prompts uuid[] DEFAULT NULL,
    models uuid[] DEFAULT NULL, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, status text DEFAULT NULL
) RETURNS TABLE (execution_id uuid, run_at timestamptz, rank real)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 20
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
SET max_parallel_workers_per_gather = 0
AS $$
#variable_conflict use_column
DECLARE
    mine uuid[] := wb.readable_projects();
    shown integer := least(greatest(max_rows, 1), 1000);
    wanted integer := greatest(100, 4 * shown);
    total float8 := (SELECT reltuples FROM pg_class WHERE oid = 'wb.execution_words'::regclass);
    condition CONSTANT text := $condition$
        e.project_id = ANY ($1)
        AND ($2 IS NULL OR e.prompt_id = ANY ($2))
        AND ($3 IS NULL OR e.model_config_id = ANY ($3))
        AND ($4 IS NULL OR e.created_at >= $4) AND ($5 IS NULL OR e.created_at < $5)
        AND ($6 IS NULL OR e.status = $6)
    $condition$;
    walk CONSTANT text := '(SELECT e.execution_id, e.search FROM (SELECT * FROM wb.execution_words ORDER BY created_at DESC LIMIT $8) e WHERE '
        || condition || ' OFFSET 0) h WHERE h.search @@ $7';
    found uuid[];
    few boolean;
    sample CONSTANT integer := CASE WHEN total > 300000 THEN 500 ELSE 250 END;
    met integer := 0;
BEGIN
    IF projects IS NOT NULL THEN
        mine := ARRAY(SELECT unnest(mine) INTERSECT SELECT unnest(projects));
    END IF;
    few := (SELECT count(*) FROM (SELECT FROM wb.execution_words e WHERE e.project_id = ANY (mine) LIMIT 501) r) <= 500;
    IF total > 10000 AND NOT few THEN
        EXECUTE 'SELECT count(*) FROM ' || walk INTO met USING mine, prompts, models, since, until, status, query, sample;
    END IF;
    IF met::float8 * met * total > 2.0 * wanted * sample * sample THEN
        EXECUTE 'SELECT array_agg(w.execution_id) FROM (SELECT h.execution_id FROM ' || walk || ' LIMIT $9) w'
        INTO found
        USING mine, prompts, models, since, until, status, query, 2 * sample * wanted / met, wanted;
    END IF;
    IF found IS NULL OR cardinality(found) < wanted THEN
        EXECUTE 'SELECT array_agg(h.execution_id) FROM (SELECT h.execution_id FROM (SELECT e.execution_id, e.created_at FROM wb.execution_words e'
            ' WHERE ' || CASE WHEN few THEN '(e.search @@ $7) IS TRUE' ELSE 'e.search @@ $7' END || ' AND ' || condition
            || ' OFFSET 0) h ORDER BY h.created_at DESC, h.execution_id LIMIT $8) h'
        INTO found
        USING mine, prompts, models, since, until, status, query, wanted;
    END IF;
    RETURN QUERY
    SELECT e.execution_id, e.run_at, ts_rank(e.search, query, 1) AS score
    FROM wb.execution_words e
    WHERE e.execution_id = ANY (found)
    ORDER BY score DESC, e.created_at DESC, e.execution_id
    LIMIT shown;
END
$$
--;
-- The newest version of each prompt.
CREATE VIEW wb.v_latest_prompts WITH (security_invoker = true) AS
SELECT v.prompt_id, v.root_id, v.parent_id, v.project, v.prompt, v.version, v.versions, v.label, v.content,
       v.system_prompt, v.variables, v.settings, v.tags, v.note, v.kind, v.author, v.created_at, v.archived_at
FROM (
    SELECT p.*, count(*) OVER family AS versions, row_number() OVER (family ORDER BY p.version DESC) AS version_rank
    FROM wb.v_prompts p
    WINDOW family AS (PARTITION BY p.root_id)
) v
WHERE v.version_rank = 1
--;
-- What each person did in each project. Prompts and calls are counted apart: joined, each call would count once for
-- every version of its prompt.
CREATE VIEW wb.v_stats WITH (security_invoker = true) AS
SELECT u.username AS person, j.name AS project, w.prompts, w.versions, w.executions, w.failed, w.tokens, w.cost,
       w.cost_unknown, w.latency_ms, w.models, w.project_id, w.user_id
FROM (
    SELECT project_id, user_id, coalesce(p.prompts, 0) AS prompts, coalesce(p.versions, 0) AS versions,
           coalesce(e.executions, 0) AS executions, coalesce(e.failed, 0) AS failed, coalesce(e.tokens, 0) AS tokens,
           e.cost, coalesce(e.cost_unknown, 0) AS cost_unknown, e.latency_ms, coalesce(e.models, 0) AS models
    FROM (
        SELECT project_id, user_id, count(DISTINCT root_id) AS prompts, count(*) AS versions
        FROM wb.prompts WHERE kind = 'prompt' GROUP BY project_id, user_id
    ) p
    FULL JOIN (
        SELECT m.project_id, m.user_id, sum(m.executions)::bigint AS executions, sum(m.failed)::bigint AS failed,
               sum(m.tokens)::bigint AS tokens, sum(m.cost)::float8 AS cost, sum(m.cost_unknown)::bigint AS cost_unknown,
               (sum(m.waited) / nullif(sum(m.timed), 0))::float8 AS latency_ms, count(*) AS models
        FROM (
            SELECT project_id, user_id, model_config_id, count(*) AS executions,
                   count(*) FILTER (WHERE status = 'failed') AS failed, sum(tokens_total) AS tokens,
                   sum(cost_estimate) AS cost,
                   count(*) FILTER (WHERE status = 'done' AND cost_estimate IS NULL) AS cost_unknown,
                   sum(execution_time_ms) FILTER (WHERE status = 'done') AS waited,
                   count(execution_time_ms) FILTER (WHERE status = 'done') AS timed
            FROM wb.executions WHERE status <> 'planned' GROUP BY project_id, user_id, model_config_id
        ) m
        GROUP BY m.project_id, m.user_id
    ) e USING (project_id, user_id)
) w
JOIN wb.projects j ON j.id = w.project_id
LEFT JOIN wb.users u ON u.id = w.user_id
