-- Webhooks that are received: sources, verification, duplicates.
\set VERBOSITY terse
\pset null '(null)'
-- The sender's side, by PostgreSQL's own SHA-256.
CREATE FUNCTION sign(secret text, id text, at text, body text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    key bytea := decode(substr(secret, 7), 'base64');
    inner_pad bytea := decode(repeat('36', 64), 'hex');
    outer_pad bytea := decode(repeat('5c', 64), 'hex');
BEGIN
    FOR place IN 0 .. length(key) - 1 LOOP
        inner_pad := set_byte(inner_pad, place, get_byte(inner_pad, place) # get_byte(key, place));
        outer_pad := set_byte(outer_pad, place, get_byte(outer_pad, place) # get_byte(key, place));
    END LOOP;
    RETURN 'v1,' || encode(sha256(outer_pad || sha256(inner_pad || convert_to(concat_ws('.', id, at, body), 'UTF8'))), 'base64');
END $$;
\set secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
SELECT sign(:'secret', 'msg_p5jXN8AQM9LWM0D4loKWxJek', '1614265330', '{"test": 2432232314}');
-- A message of this moment, as it would come from a web server.
CREATE FUNCTION sent(secret text, id text, body text, age int DEFAULT 0) RETURNS jsonb LANGUAGE sql AS
    $$ SELECT jsonb_build_object('webhook-id', id, 'webhook-timestamp', at, 'webhook-signature', sign(secret, id, at, body))
         FROM (SELECT (floor(extract(epoch FROM clock_timestamp()))::bigint - age)::text) AS t (at) $$;

SELECT tms_webhook_source_set('partner', jsonb_build_object('secret', :'secret'));
SELECT name, company_id, tolerance_seconds, dedupe_seconds, created_at <= now() AS dated FROM tms.webhook_sources;
SELECT k.keys FROM tms.webhook_source_secrets k JOIN tms.webhook_sources s ON s.id = k.source;

SELECT tms_webhook_verify('partner', sent(:'secret', 'msg_1', '{"type": "load.moved", "data": {"n": 1.10}}'),
                          '{"type": "load.moved", "data": {"n": 1.10}}') - 'timestamp' AS first;
SELECT tms_webhook_verify('partner', sent(:'secret', 'msg_1', 'anything'), 'anything') - 'timestamp' AS again;
SELECT source = (SELECT id FROM tms.webhook_sources) AS of_the_source, webhook_id, expires_at - received_at AS kept FROM tms.webhook_receipts;

-- What a sender may do wrong is an answer, not an error, and leaves nothing.
SELECT tms_webhook_verify('partner', sent(:'secret', 'msg_2', '{}'), '{ }') AS another_body;
SELECT tms_webhook_verify('partner', sent('whsec_b2xkIHNlY3JldCBvZiB0aGUgc2VuZGVyIQ==', 'msg_2', '{}'), '{}') AS another_secret;
SELECT tms_webhook_verify('partner', sent(:'secret', 'msg_2', '{}', 400), '{}') AS too_old;
SELECT tms_webhook_verify('partner', sent(:'secret', 'msg_2', '{}', -400), '{}') AS too_new;
SELECT tms_webhook_verify('partner', '{}', '{}') AS no_headers;
SELECT tms_webhook_verify('partner', '7', '{}') AS no_object;
SELECT tms_webhook_verify('partner', sent(:'secret', 'msg.2', '{}'), '{}') AS dot_in_the_id;
SELECT count(*) FROM tms.webhook_receipts;

-- Set again: secrets that are left out stay, the rest gets its default.
SELECT tms_webhook_source_set('partner', '{"tolerance_seconds": 500, "dedupe_seconds": 1000}');
SELECT tolerance_seconds, dedupe_seconds, jsonb_array_length(keys) AS secrets FROM tms.webhook_sources s JOIN tms.webhook_source_secrets ON source = s.id;
SELECT tms_webhook_verify('partner', sent(:'secret', 'msg_3', '{}', 400), '{}') -> 'valid' AS valid;
SELECT tms_webhook_source_set('partner', jsonb_build_object('secrets', jsonb_build_array(:'secret', 'b2xkIHNlY3JldCBvZiB0aGUgc2VuZGVyIQ==')));
SELECT tolerance_seconds, dedupe_seconds, jsonb_array_length(keys) AS secrets FROM tms.webhook_sources s JOIN tms.webhook_source_secrets ON source = s.id;
SELECT tms_webhook_verify('partner', sent('whsec_b2xkIHNlY3JldCBvZiB0aGUgc2VuZGVyIQ==', 'msg_4', '{}'), '{}') -> 'valid' AS by_the_other;

-- A company's source of the same name is another source.
SELECT tms_webhook_source_set('partner', '{"secret": "b2xkIHNlY3JldCBvZiB0aGUgc2VuZGVyIQ=="}', '11111111-1111-4111-8111-111111111111');
SELECT tms_webhook_verify('partner', sent(:'secret', 'msg_5', '{}'), '{}', '11111111-1111-4111-8111-111111111111');
SELECT tms_webhook_verify('partner', sent('whsec_b2xkIHNlY3JldCBvZiB0aGUgc2VuZGVyIQ==', 'msg_4', '{}'), '{}',
                          '11111111-1111-4111-8111-111111111111') - 'timestamp' AS new_to_the_company;
SELECT tms_webhook_verify('partner', '{}', '', '22222222-2222-4222-8222-222222222222');

-- What is refused
SELECT tms_webhook_verify('partners', '{}', '');
SELECT tms_webhook_verify(NULL, '{}', '');
SELECT tms_webhook_verify('partner', NULL, '');
SELECT tms_webhook_verify('partner', '{}', NULL);
SELECT tms_webhook_source_set('new', '{}');
SELECT tms_webhook_source_set('new', '{"secert": "whsec_hush"}');
SELECT tms_webhook_source_set('new', '{"secret": "whsec_hush"}');
SELECT tms_webhook_source_set('new', '{"secret": "whsec_hush", "secrets": []}');
SELECT tms_webhook_source_set('new', '{"tolerance_seconds": 86401}');
SELECT tms_webhook_source_set('new', '{"dedupe_seconds": 599}');
SELECT tms_webhook_source_set('New', '{}');
SELECT count(*) FROM tms.webhook_sources;

-- A body that is no jsonb is still a body.
SELECT tms.jsonb_or_null(body) FROM unnest(ARRAY['{"a": 1.10}', '"\u0000"', '{', '', '1e999999', repeat('[', 100000), NULL]) AS body;

DELETE FROM tms.webhook_sources;
SELECT count(*) AS secrets FROM tms.webhook_source_secrets;
DELETE FROM tms.webhook_receipts;
DROP FUNCTION sent(text, text, text, int);
DROP FUNCTION sign(text, text, text, text);
