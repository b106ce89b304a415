-- Which anchors of tenants below a proposal changes, for the owners of those: they see how it stands, and nothing else of it.
CREATE TABLE proposal_anchor (
  -- The tenant above.
  tenant_id bigint NOT NULL,
  -- The child's name there.
  segment   text COLLATE "C" NOT NULL,
  number    integer NOT NULL,
  PRIMARY KEY (tenant_id, segment, number),
  FOREIGN KEY (tenant_id, number) REFERENCES proposal
);

ALTER TABLE proposal_anchor ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON proposal_anchor USING (tenant_id = current_tenant());
GRANT SELECT, INSERT ON proposal_anchor TO mandate_service;
