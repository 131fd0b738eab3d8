-- Budgets that the claim itself reserves from, and what shows them. Statements are separated by lines that hold only "--;".

-- When the running day or month began, in UTC, or minus infinity.
CREATE FUNCTION wb.period_start(per text) RETURNS date
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN per = 'total' THEN '-infinity' ELSE date_trunc(per, clock_timestamp() AT TIME ZONE 'UTC')::date END
$$
--;
-- Moves money in every budget that binds these calls; refuses a claim that one of them cannot pay.
-- The run's row is locked first by whoever writes to the ledger, then budgets in the order of their ids.
CREATE FUNCTION wb_priv.charge(
    run uuid, project uuid, person uuid, reserve numeric, spend numeric, unpriced boolean, claiming boolean
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bound record;
    start date;
BEGIN
    UPDATE wb.runs r SET reserved = greatest(r.reserved + reserve, 0), spent = greatest(r.spent + spend, 0)
    WHERE r.id = run AND r.budget IS NOT NULL
    RETURNING r.budget AS amount, r.spent, r.reserved INTO bound;
    IF FOUND AND claiming THEN
        PERFORM wb_priv.check_budget('the run', bound.amount, bound.spent, bound.reserved, reserve, unpriced);
    END IF;
    FOR bound IN
        SELECT b.* FROM wb.budgets b
        WHERE b.project_id = project OR (b.project_id IS NULL AND b.user_id = person)
        ORDER BY b.id FOR UPDATE
    LOOP
        start := wb.period_start(bound.per);
        bound.spent := greatest(CASE WHEN bound.since < start THEN 0 ELSE bound.spent END + spend, 0);
        bound.reserved := greatest(bound.reserved + reserve, 0);
        IF claiming THEN
            PERFORM wb_priv.check_budget(
                CASE WHEN bound.project_id IS NULL THEN 'you' ELSE 'the project' END
                    || CASE bound.per WHEN 'total' THEN '' ELSE ' per ' || bound.per END,
                bound.amount, bound.spent, bound.reserved, reserve, unpriced);
        END IF;
        UPDATE wb.budgets SET since = start, spent = bound.spent, reserved = bound.reserved WHERE id = bound.id;
    END LOOP;
END
$$
--;
-- The hint is for programs: what the budget is, what was spent of it, what is reserved for calls in flight.
CREATE FUNCTION wb_priv.check_budget(
    whose text, amount numeric, spent numeric, reserved numeric, asked numeric, unpriced boolean
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF unpriced THEN
        RAISE EXCEPTION 'the price of a call is unknown, so the budget of % cannot be kept', whose USING ERRCODE = 'WB002';
    END IF;
    IF asked > 0 AND spent + reserved > amount THEN
        RAISE EXCEPTION 'the budget of % does not pay for these calls', whose
            USING ERRCODE = 'WB001', DETAIL = whose,
                  HINT = jsonb_build_object('amount', amount, 'spent', spent, 'reserved', reserved - asked, 'asked', asked)::text;
    END IF;
END
$$
--;
-- After each statement on the ledger: what its rows hold of the budgets now, less what they held before.
-- A call in flight holds what was reserved for it; one of unknown fate has spent that; an answer, what it cost.
CREATE FUNCTION wb_priv.account() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE change record;
BEGIN
    IF TG_OP = 'INSERT' THEN
        FOR change IN
            SELECT a.run_id, a.project_id, a.user_id, sum(coalesce(a.reserved, 0)) AS reserve, bool_or(a.reserved IS NULL) AS unpriced
            FROM added a GROUP BY 1, 2, 3
        LOOP
            PERFORM wb_priv.charge(change.run_id, change.project_id, change.user_id, change.reserve, 0, change.unpriced, true);
        END LOOP;
        RETURN NULL;
    END IF;
    FOR change IN
        SELECT m.run_id, m.project_id, m.user_id, sum(m.reserve) AS reserve, sum(m.spend) AS spend
        FROM (
            SELECT a.run_id, a.project_id, a.user_id,
                   CASE WHEN a.status IN ('planned', 'sent') THEN coalesce(a.reserved, 0) ELSE 0 END AS reserve,
                   CASE a.status WHEN 'unknown' THEN coalesce(a.reserved, 0) WHEN 'lost' THEN 0
                        ELSE coalesce(a.cost_estimate, 0) END AS spend
            FROM added a
            UNION ALL
            SELECT g.run_id, g.project_id, g.user_id,
                   -CASE WHEN g.status IN ('planned', 'sent') THEN coalesce(g.reserved, 0) ELSE 0 END,
                   -CASE g.status WHEN 'unknown' THEN coalesce(g.reserved, 0) WHEN 'lost' THEN 0
                         ELSE coalesce(g.cost_estimate, 0) END
            FROM gone g
        ) m
        GROUP BY 1, 2, 3 HAVING sum(m.reserve) <> 0 OR sum(m.spend) <> 0
    LOOP
        PERFORM wb_priv.charge(change.run_id, change.project_id, change.user_id, change.reserve, change.spend, false, false);
    END LOOP;
    RETURN NULL;
END
$$
--;
-- A new budget knows what was spent already.
CREATE FUNCTION wb_priv.open_budget() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.since := wb.period_start(NEW.per);
    SELECT coalesce(sum(CASE WHEN e.status = 'unknown' THEN e.reserved ELSE e.cost_estimate END), 0),
           coalesce(sum(e.reserved) FILTER (WHERE e.status IN ('planned', 'sent')), 0)
    INTO NEW.spent, NEW.reserved
    FROM wb.executions e
    WHERE e.created_at >= NEW.since::timestamp AT TIME ZONE 'UTC'
      AND CASE WHEN NEW.project_id IS NULL THEN e.user_id = NEW.user_id ELSE e.project_id = NEW.project_id END;
    RETURN NEW;
END
$$
--;
-- So does a run that gets one, or another one, when it is resumed.
CREATE FUNCTION wb_priv.recount_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT coalesce(sum(CASE WHEN e.status = 'unknown' THEN e.reserved ELSE e.cost_estimate END), 0),
           coalesce(sum(e.reserved) FILTER (WHERE e.status IN ('planned', 'sent')), 0)
    INTO NEW.spent, NEW.reserved
    FROM wb.executions e WHERE e.run_id = NEW.id;
    RETURN NEW;
END
$$
--;
GRANT EXECUTE ON FUNCTION wb.period_start(text) TO wb_user, wb_definer
--;
GRANT EXECUTE ON FUNCTION wb_priv.charge(uuid, uuid, uuid, numeric, numeric, boolean, boolean),
    wb_priv.check_budget(text, numeric, numeric, numeric, numeric, boolean) TO wb_definer
--;
CREATE VIEW wb.v_budgets WITH (security_invoker = true) AS
SELECT b.id AS budget_id, j.name AS project, u.username AS person, b.per, b.amount::float8 AS amount, s.spent::float8 AS spent,
       b.reserved::float8 AS reserved, (b.amount - s.spent - b.reserved)::float8 AS available, b.project_id, b.user_id
FROM wb.budgets b
LEFT JOIN wb.projects j ON j.id = b.project_id
LEFT JOIN wb.users u ON u.id = b.user_id AND b.project_id IS NULL
CROSS JOIN LATERAL (SELECT CASE WHEN b.since < wb.period_start(b.per) THEN 0 ELSE b.spent END AS spent) s
--;
CREATE VIEW wb.v_conversations WITH (security_invoker = true) AS
SELECT k.id AS conversation_id, k.created_at, j.name AS project, k.title AS conversation, p.title AS prompt, p.version,
       s.model, s.turns, s.tokens, s.cost, s.last_at, u.username AS person, k.project_id
FROM wb.conversations k
JOIN wb.projects j ON j.id = k.project_id
JOIN wb.prompts p ON p.id = k.prompt_id
LEFT JOIN wb.users u ON u.id = k.user_id
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE e.status = 'done') AS turns, sum(e.tokens_total) AS tokens,
           sum(e.cost_estimate)::float8 AS cost, max(e.created_at) AS last_at,
           (array_agg(m.model_id ORDER BY e.created_at DESC))[1] AS model
    FROM wb.executions e JOIN wb.model_configs m ON m.id = e.model_config_id WHERE e.conversation_id = k.id
) s ON true
