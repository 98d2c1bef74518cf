//! What stands on the other side, in SQL: nothing of it is shared with what is tested.

/// What a broadcast needs of Supabase: the table, and its owner. There is no partition yet.
pub const SUPABASE: &str = "
    CREATE ROLE supabase_realtime_admin NOLOGIN;
    CREATE SCHEMA realtime AUTHORIZATION supabase_realtime_admin;
    SET ROLE supabase_realtime_admin;
    CREATE TABLE realtime.messages (
        topic text NOT NULL,
        extension text NOT NULL,
        payload jsonb,
        event text,
        private boolean DEFAULT false,
        updated_at timestamp NOT NULL DEFAULT now(),
        inserted_at timestamp NOT NULL DEFAULT now(),
        id uuid NOT NULL DEFAULT gen_random_uuid(),
        PRIMARY KEY (id, inserted_at)
    ) PARTITION BY RANGE (inserted_at);
    ALTER TABLE realtime.messages ENABLE ROW LEVEL SECURITY;
    RESET ROLE";

/// `sign(secret, id, at, body)`: the signature of Standard Webhooks, HMAC-SHA256 (RFC 2104) by PostgreSQL's own SHA-256. The body is
/// bytes or text.
pub const SIGN: &str = "
    CREATE FUNCTION sign(secret text, id text, at text, body bytea) RETURNS text LANGUAGE plpgsql AS $$
    DECLARE
        key bytea := decode(substr(secret, 7), 'base64');
        inner_pad bytea := decode(repeat('36', 64), 'hex');
        outer_pad bytea := decode(repeat('5c', 64), 'hex');
    BEGIN
        FOR place IN 0 .. length(key) - 1 LOOP
            inner_pad := set_byte(inner_pad, place, get_byte(inner_pad, place) # get_byte(key, place));
            outer_pad := set_byte(outer_pad, place, get_byte(outer_pad, place) # get_byte(key, place));
        END LOOP;
        RETURN 'v1,' || encode(sha256(outer_pad || sha256(inner_pad || convert_to(id || '.' || at || '.', 'UTF8') || body)),
                               'base64');
    END $$;
    CREATE FUNCTION sign(secret text, id text, at text, body text) RETURNS text LANGUAGE sql
        AS $$ SELECT sign(secret, id, at, convert_to(body, 'UTF8')) $$";
