package cloudsim

// A Resource is what a call is about, as far as policies see it.
type Resource struct {
	// Type is as in ARNs: network-interface, subnet, security-group, instance,
	// elastic-ip, havip, vpc; or * where the API knows no resources. ID is empty for
	// what is to be made.
	Type, ID string
	// Tags are those it has; Wanted those that the call would put on it.
	Tags, Wanted Tags
	// VPC, Subnet and Zone are where it is, as far as it has one.
	VPC, Subnet, Zone string
}

// resourcesOf are those of the ids that there are; an attachment is about its
// instance.
func (t *turn) resourcesOf(ids ...string) []Resource {
	var all []Resource
	for _, id := range ids {
		if e := t.c.attachments[id]; e != nil {
			id = e.now.Attachment.Instance
		}
		kind, tags, _ := t.tagsOf(id)
		if kind == "" {
			continue
		}
		r := Resource{Type: kind, ID: id, Tags: tags.clone()}
		switch {
		case t.c.enis[id] != nil:
			i := t.c.enis[id].now
			r.VPC, r.Subnet, r.Zone = i.VPC, i.Subnet, i.Zone
		case t.c.instances[id] != nil:
			i := t.c.instances[id]
			r.VPC, r.Subnet, r.Zone = i.VPC, i.Subnet, i.Zone
		case t.c.subnets[id] != nil:
			s := t.c.subnets[id]
			r.VPC, r.Subnet, r.Zone = s.VPC, s.ID, s.Zone
		case t.c.haVips[id] != nil:
			s := t.c.haVips[id].subnet
			r.VPC, r.Subnet, r.Zone = s.VPC, s.ID, s.Zone
		case t.c.groups[id] != nil:
			r.VPC = t.c.groups[id].VPC
		}
		all = append(all, r)
	}
	return all
}

// toCreate is what a new interface is about.
func (t *turn) toCreate(r CreateInterface) []Resource {
	made := Resource{Type: "network-interface", Wanted: r.Tags}
	if s := t.c.subnets[r.Subnet]; s != nil {
		made.VPC, made.Subnet, made.Zone = s.VPC, s.ID, s.Zone
	}
	return append([]Resource{made}, t.resourcesOf(append([]string{r.Subnet}, r.Groups...)...)...)
}
