-- tms_redact, tms_redact_rules, tms_redact_text and tms_detect_pii: what they answer, and what they refuse.
\set VERBOSITY terse
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set refused :abs_srcdir '/sql/refused.inc'
\i :refused

-- Any depth, any spelling
SELECT tms_redact('{"customerName": "Ada", "load": {"stops": [{"Customer-Name": "Bob", "zip": 1}, [{"CUSTOMER NAME": null}]]},
                    "customer": {"name": "Cid"}, "customer_name": {"first": "Eve"}}', '{customer_name}');
-- What is not redacted is identical: digits, letters, empty containers, jsonb's own duplicates
SELECT tms_redact('{"z": 1e400, "n": 0.10, "i": 123456789012345678901234567890, "e": [[], {}, "", null, false],
                    "s": "\u00e4 \ud83d\ude9a \"q\" \\ \n", "phone": 1, "n2": 1, "n2": 2.50}', '{phone}')
       = '{"z": 1e400, "n": 0.10, "i": 123456789012345678901234567890, "e": [[], {}, "", null, false],
           "s": "\u00e4 \ud83d\ude9a \"q\" \\ \n", "phone": "[REDACTED]", "n2": 2.50}' AS identical;
SELECT length(tms_redact('[1e400, {"a": 1}]', '{a}')::text) AS digits,
       tms_redact('[0.10, 1.0, -0.0, {"a": "x"}, 12345678901234567890.0123456789]', '{a}');
SELECT tms_redact('"phone"', '{phone}'), tms_redact('null', '{phone}'), tms_redact('[]', '{phone}'), tms_redact('{}', '{phone}'),
       tms_redact('{"phone": 1}', '{}'), tms_redact('[{"phone": 1}]', '{phone,Phone,PHONE}');
SELECT tms_redact(NULL, '{phone}') IS NULL AS data, tms_redact_rules(NULL, '{}') IS NULL AS rules, tms_redact_text(NULL) IS NULL AS text,
       (SELECT count(*) FROM tms_detect_pii(NULL)) AS found;

-- Modes, paths, and which rule wins
SELECT tms_redact_rules('{"a": "4111111111111111", "n": 12345678, "o": {"x": [1, null]}, "t": true, "z": null, "k": 1}',
                        jsonb_build_object('fields', '["a", "n", "o", "t", "z"]'::jsonb, 'mode', mode))
  FROM jsonb_array_elements('["replace", "remove", "partial", {"mode": "partial", "keep_last": 1}, {"mode": "replace", "with": 0},
                              {"mode": "replace", "with": null}, {"mode": "replace", "with": "\u00fc"}]') AS mode;
SELECT path, tms_redact_rules('{"a": {"b": "1", "B": "2", "a": {"b": "3"}}, "list": ["4", {"b": "5"}, ["6", "7"]], "b": "8"}',
                              jsonb_build_object('paths', ARRAY[path], 'mode', '"remove"'::jsonb))
  FROM unnest(ARRAY['$.b', '$.a.b', '$[''a''][''B'']', '$..b', '$.a..b', '$..a.b', '$.list[0]', '$.list[-1]', '$.list.*', '$.list[*].b',
                    '$..[0]', '$.*', '$..*', '$.none', '$.list[9]']) AS path;
SELECT tms_redact_rules('{"a": "secret", "b": {"a": "secret"}}',
                        '{"fields": ["a"], "mode": "partial", "rules": [{"path": "$.a", "mode": "remove"}]}');
-- Removing many of many: entries change their places
SELECT tms_redact_rules(d, '{"fields": ["k7", "k33", "k64"], "mode": "remove"}') = d - ARRAY['k7', 'k33', 'k64'] AS same
  FROM (SELECT jsonb_object_agg('k' || n, CASE n % 4 WHEN 0 THEN to_jsonb(n) WHEN 1 THEN to_jsonb(repeat('x', n))
                                          WHEN 2 THEN '[1, {"a": 1.5}]' ELSE 'null' END) AS d FROM generate_series(1, 100) n) AS many;

-- By value
SELECT tms_redact_text('Ask ada@example.com or +49 30 901820 about load 4155550132, card 4111 1111 1111 1111');
SELECT tms_redact_text('Ask ada@example.com or +49 30 901820', '{phone}'), tms_redact_text('nothing', NULL), tms_redact_text('', '{}');
SELECT tms_redact_text('{"to": "ada\u0040example.com", "rate": 1e400, "card": 4111111111111111}');
SELECT tms_redact_rules('{"note": "card 4111111111111111, ada@example.com", "phone": 4155550132, "load": 4155550132, "n": 1.50}',
                        jsonb_build_object('kinds', '["email", "payment_card", "phone"]'::jsonb, 'mode', mode))
  FROM jsonb_array_elements('["replace", "partial", "remove", {"mode": "replace", "with": null}]') AS mode;
SELECT * FROM tms_detect_pii('{"mail": "ada@example.com, bob@example.com", "stops": [1, {"a b''s": "4111111111111111"}], "phone": 4155550132,
                               "load": 4155550132, "raw": "{\"x\": [\"ada\\u0040example.com\"]}"}');
SELECT * FROM tms_detect_pii('"192.0.2.17"');
SELECT path, kind, tms_redact_rules('{"stops": [{"a b''s": "ada@example.com"}]}', jsonb_build_object('paths', ARRAY[path]))
  FROM tms_detect_pii('{"stops": [{"a b''s": "ada@example.com"}]}');

-- Again changes nothing
SELECT bool_and(tms_redact_rules(once, rules) = once) AS idempotent
  FROM jsonb_array_elements('[{"fields": ["phone"]}, {"fields": ["phone"], "mode": "partial"}, {"paths": ["$[0]"], "mode": "remove"},
                              {"kinds": ["email", "phone"], "mode": {"mode": "partial", "keep_last": 20}}]') AS rules,
       LATERAL (SELECT tms_redact_rules('[1, {"phone": "+49 30 901820", "note": "ada.lovelace@example.com"}, []]', rules)) AS r (once);

-- What is refused; none of it shows a value of the document
CALL refused($$SELECT tms_redact('{}', NULL)$$);
CALL refused($$SELECT tms_redact('{}', '{a,NULL}')$$);
CALL refused($$SELECT tms_redact('{}', '{""}')$$);
CALL refused($$SELECT tms_redact('{}', ARRAY[repeat('x', 300)])$$);
CALL refused($$SELECT tms_redact('{}', array_agg('f' || n)) FROM generate_series(1, 2000) n$$);
CALL refused($$SELECT tms_redact('{}', array_agg(repeat('x', 100))) FROM generate_series(1, 20000) n$$);
CALL refused($$SELECT tms_redact_rules('{}', NULL)$$);
CALL refused($$SELECT tms_redact_rules('{}', '[]')$$);
CALL refused($$SELECT tms_redact_rules('{}', '{"field": ["a"]}')$$);
CALL refused($$SELECT tms_redact_rules('{}', '{"fields": ["a"], "mode": "mask"}')$$);
CALL refused($$SELECT tms_redact_rules('{}', '{"fields": ["a"], "mode": {"mode": "partial", "keep_last": -1}}')$$);
CALL refused($$SELECT tms_redact_rules('{}', '{"paths": ["$.a["]}')$$);
CALL refused($$SELECT tms_redact_rules('{}', '{"paths": ["$"]}')$$);
CALL refused($$SELECT tms_redact_rules('{}', '{"kinds": ["mail"]}')$$);
CALL refused($$SELECT tms_redact_rules('{}', '{"fields": ["a"], "mode": {"mode": "replace", "with": 1e400}}')$$);
CALL refused($$SELECT tms_redact_rules('{}', '{"fields": ["a"], "mode": "hmac"}')$$);
CALL refused($$SELECT tms_redact_text('x', '{passport}')$$);
CALL refused($$SELECT tms_redact_text('x', '{email,NULL}')$$);
-- Too large, too deep: whatever comes first, this function or jsonb itself
CALL refused($$SELECT tms_redact(to_jsonb(repeat('x', 100000000)), '{a}')$$);
CALL refused($$SELECT tms_redact_rules(to_jsonb(repeat('x', 100000000)), '{}')$$);
CALL refused($$SELECT tms_redact_text(repeat('x', 100000000))$$);
CALL refused($$SELECT * FROM tms_detect_pii(to_jsonb(repeat('x', 100000000)))$$);
CALL refused($$SELECT tms_redact((repeat('[', 600) || repeat(']', 600))::jsonb, '{a}')$$);
CALL refused($$SELECT * FROM tms_detect_pii((repeat('[', 600) || repeat(']', 600))::jsonb)$$);
CALL refused($$SELECT tms_redact_text(repeat('[', 10000) || repeat(']', 10000))$$);
CALL refused($$SELECT tms_redact_rules(to_jsonb(array_fill(0, ARRAY[1000000])),
                                       jsonb_build_object('paths', '["$[*]"]'::jsonb, 'mode', jsonb_build_object('mode', 'replace', 'with', repeat('x', 1000))))$$);
DO $$
BEGIN
    PERFORM tms_redact((repeat('[', 10000) || repeat(']', 10000))::jsonb, '{a}');
    RAISE WARNING 'accepted';
EXCEPTION WHEN program_limit_exceeded OR statement_too_complex THEN
    RAISE NOTICE '10000 levels are refused';
END
$$;
-- The session goes on
SELECT tms_redact('{"phone": 1}', '{phone}');

-- Any capability gives them; no capability, none
CREATE ROLE api_redaction_app;
SET ROLE api_redaction_app;
CALL refused($$SELECT tms_redact('{}', '{a}')$$);
CALL refused($$SELECT tms_redact_rules('{}', '{}')$$);
CALL refused($$SELECT tms_redact_text('')$$);
CALL refused($$SELECT * FROM tms_detect_pii('{}')$$);
RESET ROLE;
SELECT tms_grant('api_redaction_app', 'agent');
SET ROLE api_redaction_app;
SELECT tms_redact('{"phone": 1}', '{phone}'), tms_redact_rules('{"phone": 1}', '{"paths": ["$.phone"]}'),
       tms_redact_text('ada@example.com'), (SELECT count(*) FROM tms_detect_pii('"ada@example.com"'));
RESET ROLE;
SELECT provolatile, proparallel, prosecdef, proname FROM pg_proc
 WHERE proname IN ('tms_redact', 'tms_redact_rules', 'tms_redact_text', 'tms_detect_pii') ORDER BY proname;

SELECT tms_revoke('api_redaction_app', 'agent');
DROP OWNED BY api_redaction_app;
DROP ROLE api_redaction_app;
DROP PROCEDURE refused(text);
