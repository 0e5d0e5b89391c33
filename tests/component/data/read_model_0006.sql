BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0006');
CREATE TABLE basket_identifications (
	event_id VARCHAR(256) NOT NULL, 
	basket_id VARCHAR(256) NOT NULL, 
	lookup_id VARCHAR(256), 
	customer_identifier VARCHAR(256) NOT NULL, 
	customer_id VARCHAR(256), 
	source VARCHAR(256), 
	reason VARCHAR(256), 
	identified_at DATETIME NOT NULL, 
	occurred_at DATETIME NOT NULL, 
	CONSTRAINT pk_basket_identifications PRIMARY KEY (event_id)
);
INSERT INTO "basket_identifications" VALUES('e1','basket_1','lookup-e1','+1234567890','CUST_001','API',NULL,'2026-01-31 08:00:10.000000','2026-01-31 08:00:11.000000');
INSERT INTO "basket_identifications" VALUES('e2','basket_2','lookup-e2','john@example.com','CUST_001','API',NULL,'2026-01-31 08:00:20.000000','2026-01-31 08:00:21.000000');
INSERT INTO "basket_identifications" VALUES('e3','basket_3','lookup-e3','+999',NULL,NULL,'TIMEOUT','2026-01-31 08:00:10.000000','2026-01-31 08:00:11.000000');
CREATE TABLE baskets (
	basket_id VARCHAR(256) NOT NULL, 
	employee_id VARCHAR(256), 
	terminal_id VARCHAR(256), 
	customer_id VARCHAR(256), 
	started_at DATETIME, 
	identified_at DATETIME, 
	identified_by VARCHAR(256), 
	CONSTRAINT pk_baskets PRIMARY KEY (basket_id)
);
INSERT INTO "baskets" VALUES('basket_1','1','t1','CUST_001','2026-01-31 08:00:05.000000','2026-01-31 08:00:10.000000','e1');
INSERT INTO "baskets" VALUES('basket_2',NULL,NULL,'CUST_001',NULL,'2026-01-31 08:00:20.000000','e2');
CREATE TABLE customer_identifiers (
	identifier VARCHAR(256) NOT NULL, 
	customer_id VARCHAR(256) NOT NULL, 
	kind VARCHAR(256), 
	first_seen_at DATETIME NOT NULL, 
	fetched_at DATETIME NOT NULL, 
	CONSTRAINT pk_customer_identifiers PRIMARY KEY (identifier)
);
INSERT INTO "customer_identifiers" VALUES('+1234567890','CUST_001','PHONE','2026-01-31 08:00:10.000000','2026-01-31 08:00:10.000000');
INSERT INTO "customer_identifiers" VALUES('john@example.com','CUST_001','EMAIL','2026-01-31 08:00:20.000000','2026-01-31 08:00:20.000000');
CREATE TABLE customer_lookup_logs (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	event_id VARCHAR(256) NOT NULL, 
	lookup_id VARCHAR(256), 
	attempt BIGINT, 
	waiters BIGINT, 
	basket_id VARCHAR(256), 
	customer_identifier VARCHAR(256) NOT NULL, 
	identifier_kind VARCHAR(256), 
	api_endpoint TEXT, 
	request_timestamp DATETIME NOT NULL, 
	response_timestamp DATETIME, 
	status VARCHAR(256), 
	http_status BIGINT, 
	response_data JSON, 
	error_message TEXT, 
	duration_ms BIGINT, call_started_at DATETIME, customer_id VARCHAR(256), 
	CONSTRAINT uq_customer_lookup_logs_event_id UNIQUE (event_id)
);
INSERT INTO "customer_lookup_logs" VALUES(1,'l1','lookup-1',1,0,'basket_1','+1234567890','PHONE','http://directory.test/','2026-01-31 08:00:10.000000','2026-01-31 08:00:11.000000','SUCCESS',200,'{"customer_id":"CUST_001"}',NULL,9,NULL,'CUST_001');
INSERT INTO "customer_lookup_logs" VALUES(2,'l2','lookup-1',2,0,'basket_1','+999','PHONE','http://directory.test/','2026-01-31 08:00:10.000000','2026-01-31 08:00:11.000000','TIMEOUT',NULL,NULL,NULL,9,NULL,NULL);
CREATE TABLE customers (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	customer_id VARCHAR(256) NOT NULL, 
	identifier VARCHAR(256) NOT NULL, 
	first_name VARCHAR(256) NOT NULL, 
	last_name VARCHAR(256) NOT NULL, 
	email VARCHAR(256) NOT NULL, 
	phone VARCHAR(256) NOT NULL, 
	loyalty_points BIGINT NOT NULL, 
	tier VARCHAR(256) NOT NULL, 
	total_purchases BIGINT NOT NULL, 
	last_purchase_date DATETIME, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	attributes JSON NOT NULL, 
	fetched_at DATETIME NOT NULL, 
	search_text TEXT NOT NULL, 
	CONSTRAINT uq_customers_customer_id UNIQUE (customer_id)
);
INSERT INTO "customers" VALUES(1,'CUST_001','john@example.com','John','Doe','john@example.com','+1234567890',1250,'GOLD',123450,'2026-01-30 10:00:00.000000','2026-01-31 08:00:10.000000','2026-01-31 08:00:20.000000','{"favourite":"tea"}','2026-01-31 08:00:20.000000','john doe
john@example.com
+1234567890');
CREATE TABLE forgotten_subjects (
	subject VARCHAR(256) NOT NULL, 
	forgotten_at DATETIME NOT NULL, 
	cache_entries BIGINT NOT NULL, 
	CONSTRAINT pk_forgotten_subjects PRIMARY KEY (subject)
);
INSERT INTO "forgotten_subjects" VALUES('0000000000000000000000000000000000000000000000000000000000000000','2026-01-30 08:00:00.000000',1);
CREATE TABLE lookup_answers (
	event_id VARCHAR(256) NOT NULL, 
	lookup_id VARCHAR(256), 
	event_type VARCHAR(256) NOT NULL, 
	basket_id VARCHAR(256) NOT NULL, 
	customer_identifier VARCHAR(256) NOT NULL, 
	identifier_kind VARCHAR(256), 
	customer_id VARCHAR(256), 
	source VARCHAR(256), 
	reason VARCHAR(256), 
	error_message TEXT, 
	attempts BIGINT, 
	duration_ms BIGINT, 
	age_ms BIGINT, 
	config_version BIGINT, 
	fetched_at DATETIME, 
	fresh_until DATETIME, 
	identified_at DATETIME NOT NULL, 
	occurred_at DATETIME NOT NULL, 
	CONSTRAINT pk_lookup_answers PRIMARY KEY (event_id)
);
INSERT INTO "lookup_answers" VALUES('e1','lookup-e1','CUSTOMER_DATA_FETCHED','basket_1','+1234567890','PHONE','CUST_001','API',NULL,NULL,1,12,0,1,'2026-01-31 08:00:10.000000','2026-01-31 08:01:10.000000','2026-01-31 08:00:10.000000','2026-01-31 08:00:11.000000');
INSERT INTO "lookup_answers" VALUES('e2','lookup-e2','CUSTOMER_DATA_FETCHED','basket_2','john@example.com','EMAIL','CUST_001','API',NULL,NULL,1,12,0,1,'2026-01-31 08:00:20.000000','2026-01-31 08:01:20.000000','2026-01-31 08:00:20.000000','2026-01-31 08:00:21.000000');
INSERT INTO "lookup_answers" VALUES('e3','lookup-e3','CUSTOMER_LOOKUP_FAILED','basket_3','+999','PHONE',NULL,NULL,'TIMEOUT','no answer within 5 s',2,40,NULL,1,NULL,NULL,'2026-01-31 08:00:10.000000','2026-01-31 08:00:11.000000');
CREATE TABLE plugin_configurations (
	plugin VARCHAR(256) NOT NULL, 
	version BIGINT NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	config JSON NOT NULL, 
	description TEXT NOT NULL, 
	updated_at DATETIME, 
	updated_by VARCHAR(256), 
	old_enabled BOOLEAN NOT NULL, 
	old_config JSON NOT NULL, 
	CONSTRAINT pk_plugin_configurations PRIMARY KEY (plugin, version)
);
INSERT INTO "plugin_configurations" VALUES('customer_lookup',1,1,'{"cache_ttl_seconds":60}','for a start','2026-01-31 08:00:00.000000','api-key',1,'{}');
INSERT INTO "plugin_configurations" VALUES('customer_lookup',2,0,'{"cache_ttl_seconds":120}','',NULL,NULL,1,'{"cache_ttl_seconds":60}');
CREATE INDEX ix_customers_identifier ON customers (identifier);
CREATE INDEX ix_customer_identifiers_customer_id ON customer_identifiers (customer_id);
CREATE INDEX ix_basket_identifications_basket_id ON basket_identifications (basket_id);
CREATE INDEX ix_customer_lookup_logs_basket_id ON customer_lookup_logs (basket_id);
CREATE INDEX ix_customer_lookup_logs_request_timestamp ON customer_lookup_logs (request_timestamp);
CREATE INDEX ix_lookup_answers_basket_id ON lookup_answers (basket_id);
CREATE INDEX ix_lookup_answers_occurred_at ON lookup_answers (occurred_at);
CREATE INDEX ix_customer_lookup_logs_customer_identifier ON customer_lookup_logs (customer_identifier, request_timestamp);
CREATE INDEX ix_customer_lookup_logs_status ON customer_lookup_logs (status, request_timestamp);
CREATE INDEX ix_customers_tier ON customers (tier, customer_id);
CREATE INDEX ix_forgotten_subjects_forgotten_at ON forgotten_subjects (forgotten_at);
CREATE INDEX ix_lookup_answers_customer_identifier ON lookup_answers (customer_identifier, occurred_at);
CREATE INDEX ix_lookup_answers_failed ON lookup_answers (occurred_at) WHERE reason IS NOT NULL AND reason <> 'NOT_FOUND';
CREATE INDEX ix_lookup_answers_stale ON lookup_answers (occurred_at) WHERE source = 'STALE_CACHE';
CREATE INDEX ix_customer_lookup_logs_customer_id ON customer_lookup_logs (customer_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('customers',1);
INSERT INTO "sqlite_sequence" VALUES('customer_lookup_logs',2);
COMMIT;
