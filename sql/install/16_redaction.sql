-- Redacting documents and texts, and finding personal data in them. Pure functions: what they answer depends on their arguments
-- alone, but for tokens of the mode hmac, which are made with the company's key.

CREATE FUNCTION @extschema@.tms_redact(data jsonb, fields text[]) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tms_redact';
COMMENT ON FUNCTION @extschema@.tms_redact(jsonb, text[]) IS
    'The document with the value of every member named by fields, at any depth and in any spelling (customerName, customer_name, Customer-Name), replaced by "[REDACTED]"; all else is identical. NULL for data NULL. Errors: 22004 fields or one of them is NULL; 22023 what cannot be a field; 54000 larger than 64 MiB or nested deeper than 500 levels';

CREATE FUNCTION @extschema@.tms_redact_rules(data jsonb, rules jsonb) RETURNS jsonb
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tms_redact_rules';
COMMENT ON FUNCTION @extschema@.tms_redact_rules(jsonb, jsonb) IS
    'The document redacted by rules: {"fields": [...], "paths": [...], "kinds": [...], "mode": ..., "rules": [{"field" or "path": ..., "mode": ...}]}; a mode is replace, remove, hmac, partial, or an object with "mode" and "with" or "keep_last". What no rule names is identical. NULL for data NULL. Errors: 22004 rules is NULL; 22023 rules that cannot be, or hmac without a key; 54000 larger than 64 MiB, nested deeper than 500 levels, or with kinds a text of more than 4 MiB';

CREATE FUNCTION @extschema@.tms_redact_text(value text, kinds text[] = NULL) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tms_redact_text';
COMMENT ON FUNCTION @extschema@.tms_redact_text(text, text[]) IS
    'The text with every piece of personal data of these kinds (email, phone, payment_card, iban, us_ssn, ip, mac, jwt, private_key, api_key; NULL for all) replaced by [REDACTED]; JSON stays JSON. NULL for value NULL. Errors: 22004 a kind is NULL; 22023 an unknown kind; 54000 larger than 4 MiB, or JSON nested deeper than 500 levels';

CREATE FUNCTION @extschema@.tms_detect_pii(data jsonb) RETURNS TABLE (path text, kind text)
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tms_detect_pii';
COMMENT ON FUNCTION @extschema@.tms_detect_pii(jsonb) IS
    'Where in a document personal data is found by its value, and of which kind, one row for each place and kind, in the order of the document; never the value. The path is one that tms_redact_rules takes; "$" is the document itself. No rows for NULL. Errors: 54000 larger than 64 MiB, nested deeper than 500 levels, or with a text of more than 4 MiB';
