-- The freight schema of `make demo`: what a small transportation company keeps, and the triggers that tell others.
--
-- Every row belongs to a company and every foreign key includes it, so that not even a wrong id leads across. A trigger
-- enqueues its event in the transaction of the change: both are committed, or neither is.

CREATE SCHEMA freight;

CREATE TYPE freight.load_status AS ENUM ('tendered', 'booked', 'dispatched', 'in_transit', 'delivered', 'invoiced', 'cancelled');
CREATE TYPE freight.stop_kind AS ENUM ('pickup', 'delivery');
CREATE TYPE freight.tender_status AS ENUM ('offered', 'accepted', 'declined');

CREATE TABLE freight.companies (
    id   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE
);

CREATE TABLE freight.carriers (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company_id uuid NOT NULL DEFAULT public.tms_current_company() REFERENCES freight.companies (id),
    name       text NOT NULL,
    UNIQUE (company_id, id)
);

CREATE TABLE freight.loads (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company_id uuid NOT NULL DEFAULT public.tms_current_company() REFERENCES freight.companies (id),
    reference  text NOT NULL,
    status     freight.load_status NOT NULL DEFAULT 'tendered',
    carrier_id bigint,
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (company_id, id),
    FOREIGN KEY (company_id, carrier_id) REFERENCES freight.carriers (company_id, id)
);

CREATE TABLE freight.stops (
    company_id uuid NOT NULL DEFAULT public.tms_current_company(),
    load_id    bigint NOT NULL,
    kind       freight.stop_kind NOT NULL,
    place      text NOT NULL,
    arrived_at timestamptz,
    PRIMARY KEY (load_id, kind),
    FOREIGN KEY (company_id, load_id) REFERENCES freight.loads (company_id, id)
);

CREATE TABLE freight.tenders (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company_id uuid NOT NULL DEFAULT public.tms_current_company(),
    load_id    bigint NOT NULL,
    carrier_id bigint NOT NULL,
    status     freight.tender_status NOT NULL DEFAULT 'offered',
    rate       numeric(10, 2) NOT NULL,
    FOREIGN KEY (company_id, load_id) REFERENCES freight.loads (company_id, id),
    FOREIGN KEY (company_id, carrier_id) REFERENCES freight.carriers (company_id, id)
);
CREATE INDEX ON freight.tenders (load_id);

-- What the business believes it has told others, written by the transaction that told it. The demo holds this against
-- what the receiver got: a row without a request is a lost event, a request without a row came from a rollback.
CREATE TABLE freight.journal (
    event_id   uuid PRIMARY KEY,
    company_id uuid NOT NULL,
    load_id    bigint NOT NULL,
    event_type text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (company_id, load_id) REFERENCES freight.loads (company_id, id)
);

-- Enqueues an event about a load and writes it into the journal. "t" is the clock in microseconds, from which the
-- receiver computes how long the event was on its way, the COMMIT included.
CREATE FUNCTION freight.tell(event_type text, company_id uuid, load_id bigint, about jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO freight.journal (event_id, company_id, load_id, event_type)
    VALUES (public.tms_enqueue(event_type,
                about || jsonb_build_object('load_id', load_id,
                                            't', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
                'n8n', company_id),
            company_id, load_id, event_type);
END
$$;

CREATE FUNCTION freight.load_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status < OLD.status THEN
        RAISE EXCEPTION 'load % cannot go back from % to %', NEW.reference, OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    PERFORM freight.tell('load.status_changed', NEW.company_id, NEW.id,
        jsonb_build_object('reference', NEW.reference, 'from', OLD.status, 'to', NEW.status));
    RETURN NULL;
END
$$;
CREATE TRIGGER load_changed AFTER UPDATE OF status ON freight.loads
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION freight.load_changed();

-- A carrier that accepts has the load: booking it is part of accepting, and both are told.
CREATE FUNCTION freight.tender_accepted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM freight.tell('tender.accepted', NEW.company_id, NEW.load_id,
        jsonb_build_object('tender_id', NEW.id, 'carrier_id', NEW.carrier_id, 'rate', NEW.rate));
    UPDATE freight.loads SET status = 'booked', carrier_id = NEW.carrier_id, updated_at = now()
     WHERE id = NEW.load_id AND status = 'tendered';
    RETURN NULL;
END
$$;
CREATE TRIGGER tender_accepted AFTER UPDATE OF status ON freight.tenders
    FOR EACH ROW WHEN (OLD.status <> 'accepted' AND NEW.status = 'accepted') EXECUTE FUNCTION freight.tender_accepted();

CREATE FUNCTION freight.stop_arrived() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM freight.tell('stop.arrived', NEW.company_id, NEW.load_id,
        jsonb_build_object('kind', NEW.kind, 'place', NEW.place, 'arrived_at', NEW.arrived_at));
    RETURN NULL;
END
$$;
CREATE TRIGGER stop_arrived AFTER UPDATE OF arrived_at ON freight.stops
    FOR EACH ROW WHEN (OLD.arrived_at IS NULL AND NEW.arrived_at IS NOT NULL) EXECUTE FUNCTION freight.stop_arrived();

-- New loads of the caller's company, each with two stops and an offer to a carrier; returns their ids.
CREATE FUNCTION freight.open_loads(how_many integer) RETURNS SETOF bigint LANGUAGE sql AS $$
    WITH opened AS (
        INSERT INTO freight.loads (reference)
        SELECT 'L-' || lpad(n::text, 5, '0') FROM generate_series(1, how_many) AS n
        RETURNING id
    ), stopped AS (
        INSERT INTO freight.stops (load_id, kind, place)
        SELECT o.id, p.kind, p.place
          FROM opened o
         CROSS JOIN (VALUES ('pickup'::freight.stop_kind, 'Rotterdam'), ('delivery', 'Leipzig')) AS p (kind, place)
    ), offered AS (
        INSERT INTO freight.tenders (load_id, carrier_id, rate)
        SELECT o.id, c.id, 1180.00 FROM opened o CROSS JOIN (SELECT min(id) AS id FROM freight.carriers) c
    )
    SELECT id FROM opened
$$;

-- Two companies, and the role each of them logs in as.
INSERT INTO freight.companies (name) VALUES ('Aurora Freight'), ('Boreal Logistics');
INSERT INTO freight.carriers (company_id, name)
SELECT c.id, n.name FROM freight.companies c CROSS JOIN (VALUES ('Harbour Haulage'), ('Elbe Express')) AS n (name);

CREATE ROLE freight_app NOLOGIN;
CREATE ROLE aurora LOGIN IN ROLE freight_app;
CREATE ROLE boreal LOGIN IN ROLE freight_app;
GRANT USAGE ON SCHEMA freight TO freight_app;
GRANT SELECT ON ALL TABLES IN SCHEMA freight TO freight_app;
GRANT INSERT, UPDATE ON freight.carriers, freight.loads, freight.stops, freight.tenders TO freight_app;
GRANT INSERT ON freight.journal TO freight_app;

ALTER TABLE freight.companies ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_company ON freight.companies USING (id = (SELECT public.tms_current_company()));
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['carriers', 'loads', 'stops', 'tenders', 'journal'] LOOP
        EXECUTE format('ALTER TABLE freight.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_company ON freight.%I USING (company_id = (SELECT public.tms_current_company()))', name);
    END LOOP;
END
$$;

-- From here on a session of aurora is Aurora Freight, whatever it sets. Both may enqueue and read their own state.
SELECT tms_bind_role('aurora', id) FROM freight.companies WHERE name = 'Aurora Freight';
SELECT tms_bind_role('boreal', id) FROM freight.companies WHERE name = 'Boreal Logistics';
SELECT tms_grant(role, capability)
  FROM unnest(ARRAY['aurora', 'boreal']) AS role CROSS JOIN unnest(ARRAY['producer', 'auditor']) AS capability;
