-- The SQL API: stable names for %%sql cells and frames. Every view runs with its reader's rights.

CREATE VIEW wb.v_prompts WITH (security_invoker = true) AS
SELECT p.id AS prompt_id, p.root_id, p.parent_id, j.name AS project, p.title AS prompt, p.version,
       l.label, p.content, p.system_prompt, p.variables, p.settings, p.tags, p.note, p.kind,
       u.username AS author, p.created_at, p.archived_at
FROM wb.prompts p
JOIN wb.projects j ON j.id = p.project_id
LEFT JOIN wb.users u ON u.id = p.user_id
LEFT JOIN (SELECT prompt_id, string_agg(name, ', ' ORDER BY name) AS label FROM wb.prompt_labels GROUP BY prompt_id) l
       ON l.prompt_id = p.id
--;
CREATE VIEW wb.v_executions WITH (security_invoker = true) AS
SELECT e.id AS execution_id, e.run_id, e.created_at, p.title AS prompt, p.version, l.label, m.model_id AS model, e.provider,
       e.case_key AS case_id, c.cluster_id, e.variant, e.sample, e.status, e.error_code, e.answer, e.answer_json,
       e.finish_reason, e.tokens_prompt, e.tokens_completion, e.cost_estimate::float8 AS cost, e.cost_source,
       e.execution_time_ms AS latency_ms, e.ttft_ms, e.score, e.passed,
       e.error_message, e.input_variables, e.request_payload, e.response_data, c.expected, e.purpose, e.project_id,
       e.prompt_id, e.run_at, c.position
FROM wb.executions e
JOIN wb.prompts p ON p.id = e.prompt_id
JOIN wb.model_configs m ON m.id = e.model_config_id
LEFT JOIN wb.cases c ON c.id = e.case_id
LEFT JOIN (SELECT prompt_id, string_agg(name, ', ' ORDER BY name) AS label FROM wb.prompt_labels GROUP BY prompt_id) l
       ON l.prompt_id = e.prompt_id
--;
CREATE VIEW wb.v_runs WITH (security_invoker = true) AS
SELECT r.id AS run_id, r.run_at AS created_at, j.name AS project, r.status, r.n_planned,
       s.done, s.failed, s.lost, s.cost, s.tokens, s.latency_p50_ms, r.plan, r.dataset_id, r.ab_test_id, r.finished_at
FROM wb.runs r
JOIN wb.projects j ON j.id = r.project_id
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE e.status = 'done') AS done,
           count(*) FILTER (WHERE e.status = 'failed') AS failed,
           count(*) FILTER (WHERE e.status IN ('lost', 'unknown', 'late')) AS lost,
           sum(e.cost_estimate)::float8 AS cost,
           sum(e.tokens_total) AS tokens,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY e.execution_time_ms) AS latency_p50_ms
    FROM wb.executions e WHERE e.run_id = r.id
) s ON true
--;
CREATE VIEW wb.v_scores WITH (security_invoker = true) AS
SELECT v.id AS evaluation_id, v.execution_id, e.run_id, v.created_at, p.title AS prompt, p.version, m.model_id AS model,
       e.case_key AS case_id, e.variant, e.sample, v.scorer, v.rater, v.vote, v.overall_score::float8 AS score, v.passed,
       v.scores ->> 'parsed' AS parsed, v.scores ->> 'reason' AS reason, e.answer, e.status, v.human_feedback, v.project_id
FROM wb.evaluations v
JOIN wb.executions e ON e.id = v.execution_id AND e.run_at = v.run_at
JOIN wb.prompts p ON p.id = e.prompt_id
JOIN wb.model_configs m ON m.id = e.model_config_id
--;
CREATE VIEW wb.v_costs WITH (security_invoker = true) AS
SELECT date_trunc('day', e.created_at) AS day, j.name AS project, m.model_id AS model, e.purpose,
       count(*) AS calls, count(*) FILTER (WHERE e.status = 'failed') AS failed,
       sum(e.tokens_prompt) AS tokens_prompt, sum(e.tokens_completion) AS tokens_completion,
       sum(e.cost_estimate)::float8 AS cost, count(*) FILTER (WHERE e.status = 'done' AND e.cost_estimate IS NULL) AS cost_unknown
FROM wb.executions e
JOIN wb.projects j ON j.id = e.project_id
JOIN wb.model_configs m ON m.id = e.model_config_id
GROUP BY 1, 2, 3, 4
--;
CREATE VIEW wb.v_ab WITH (security_invoker = true) AS
SELECT t.id AS ab_test_id, j.name AS project, t.name, t.status, t.design, t.metric, t.sample_size, d.name AS dataset,
       a.title || '@' || a.version AS a, b.title || '@' || b.version AS b, m.model_id AS model,
       t.results ->> 'verdict' AS verdict, (t.results ->> 'effect')::float8 AS effect,
       (t.results ->> 'low')::float8 AS low, (t.results ->> 'high')::float8 AS high,
       (t.results ->> 'p_value')::float8 AS p_value,
       (SELECT count(*) FROM wb.ab_looks k WHERE k.ab_test_id = t.id) AS looks, t.created_at, t.completed_at
FROM wb.ab_tests t
JOIN wb.projects j ON j.id = t.project_id
JOIN wb.prompts a ON a.id = t.variant_a_prompt_id
JOIN wb.prompts b ON b.id = t.variant_b_prompt_id
JOIN wb.datasets d ON d.id = t.dataset_id
LEFT JOIN wb.model_configs m ON m.id = t.model_config_id
