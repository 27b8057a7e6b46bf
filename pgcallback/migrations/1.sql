create table {}.file (
	hash    bytea primary key, -- SHA-256 of the content
	content bytea not null
);

create table {}.version (
	api_key text not null,
	id      text not null, -- of its names and contents
	author  text not null,
	message text not null,
	report  text not null, -- what Check found, as JSON
	created timestamptz not null default clock_timestamp(),
	primary key (api_key, id)
);
create index on {}.version (api_key, created);

create table {}.version_file (
	api_key text not null,
	version text not null,
	name    text not null,
	hash    bytea not null references {}.file,
	primary key (api_key, version, name),
	foreign key (api_key, version) references {}.version
);

-- Numbers promotions in the order of their commits: after number n, no smaller number
-- becomes visible. A sequence does not guarantee that.
create table {}.revision (n bigint not null);
insert into {}.revision values (0);

create table {}.promotion (
	revision bigint primary key,
	api_key  text not null,
	stage    text not null,
	version  text not null,
	previous text not null, -- empty for a stage's first
	author   text not null,
	message  text not null,
	created  timestamptz not null default clock_timestamp(),
	foreign key (api_key, version) references {}.version
);
create index on {}.promotion (api_key, stage, revision);

create table {}.stage (
	api_key  text not null,
	name     text not null,
	version  text not null,
	revision bigint not null references {}.promotion,
	primary key (api_key, name),
	foreign key (api_key, version) references {}.version
);
create index on {}.stage (revision);

create table {}.secret (
	id          bigint generated always as identity primary key,
	api_key     text not null,
	credential  text not null, -- empty: the server secret
	digest      bytea not null check (length(digest) = 32), -- SHA-256
	note        text not null,
	valid_from  timestamptz not null,
	valid_until timestamptz, -- null: for ever
	created     timestamptz not null default clock_timestamp(),
	unique (api_key, credential, digest)
);

create table {}.property (
	api_key text not null,
	name    text not null,
	value   text not null, -- JSON
	sets    text[] not null default array[]::text[],
	primary key (api_key, name)
);

create table {}.claim (
	api_key text not null,
	key     text not null,
	holder  text not null, -- run id, or empty: of nobody who may claim it again
	expires timestamptz not null,
	primary key (api_key, key)
);
create index on {}.claim (expires);
