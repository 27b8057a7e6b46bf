-- A property may be for one credential. An empty credential means all of the API key.
alter table {}.property add column credential text not null default '';
alter table {}.property drop constraint property_pkey;
alter table {}.property add primary key (api_key, credential, name);
