package cloudsim

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A CreateInterface makes an interface. Addresses IPv4, IPv4Count, IPv4Prefixes
// and IPv4PrefixCount exclude each other, and so do those of IPv6.
type CreateInterface struct {
	Subnet string // required
	// Token makes the call idempotent; empty is not.
	Token       string
	Description string
	Name        string
	// GoesWithInstance is what its attachments begin with.
	GoesWithInstance bool
	// SourceDestCheck is nil for on.
	SourceDestCheck *bool
	// Groups default to the VPC's default group.
	Groups []string
	// Primary is the primary address; drawn where it is zero. It may also stand
	// in IPv4 with its mark.
	Primary netip.Addr
	IPv4    []WantedIP
	// The counts are of secondary ones. IPv6Count is nil where nothing is said,
	// which leaves it to the subnet.
	IPv4Count       int
	IPv4Prefixes    []netip.Prefix
	IPv4PrefixCount int
	IPv6            []netip.Addr
	IPv6Count       *int
	IPv6Prefixes    []netip.Prefix
	IPv6PrefixCount int
	// Kind is empty for interface.
	Kind string
	// TrafficMode is for clouds that have one.
	TrafficMode string
	Tags        Tags
}

// A WantedIP is an address to be given.
type WantedIP struct {
	Addr    netip.Addr
	Primary bool
}

// kinds are those that can be asked for.
var kinds = []string{"interface", "efa", "efa-only", "trunk"}

// CreateInterface makes an interface. It is pending, and becomes available by itself.
func (c *Cloud) CreateInterface(ctx context.Context, call Call, r CreateInterface) (Interface, error) {
	if r.Kind == "" {
		r.Kind = "interface"
	}
	o := op{
		api: "CreateNetworkInterface", ids: append([]string{r.Subnet, r.Token}, marks(r.Tags)...), tags: r.Tags,
		resources: func(t *turn) []Resource { return t.toCreate(r) },
	}
	return serve(ctx, c, call, o, func(t *turn) (Interface, error) {
		e, err := t.create(r)
		if err != nil {
			return Interface{}, err
		}
		return e.now.clone(), nil
	})
}

func (t *turn) create(r CreateInterface) (*eni, error) {
	c, asked := t.c, r.text()
	if c.opts.AddressFirst && r.Primary.IsValid() {
		if s := c.subnets[r.Subnet]; s != nil && s.space.check(r.Primary) == nil && s.space.owner(r.Primary) != nil {
			return nil, refuse("ip.inuse")
		}
	}
	made, err := t.remembered(r.Token, asked)
	if err != nil {
		return nil, err
	}
	if made != nil {
		e := c.enis[made[0]]
		if e == nil {
			return nil, refuse("token.mismatch", r.Token)
		}
		t.on(e)
		return e, nil
	}
	s := c.subnets[r.Subnet]
	if s == nil {
		return nil, refuse("subnet.missing", r.Subnet)
	}
	if !slices.Contains(kinds, r.Kind) {
		return nil, refuse("value", "Value ("+r.Kind+") for parameter interfaceType is invalid.")
	}
	groups, err := c.groupsFor(r.Groups, s, "group.missing")
	if err == nil {
		err = c.checkTags(nil, r.Tags)
	}
	if err == nil && len(c.enis) >= c.opts.Quotas.Interfaces {
		err = refuse("eni.quota")
	}
	if err != nil {
		return nil, err
	}
	g, err := c.gifts(s, r)
	if err != nil {
		return nil, err
	}
	if err := t.effect(); err != nil {
		return nil, err
	}
	e := c.make(s, g, Interface{Description: r.Description, Name: r.Name, GoesWithInstance: r.GoesWithInstance, Groups: groups, Kind: r.Kind, TrafficMode: r.TrafficMode, Tags: r.Tags.clone(), Token: r.Token, Created: t.now})
	if check := r.SourceDestCheck; check != nil {
		e.now.SourceDestCheck = *check
	}
	t.remember(r.Token, asked, e.now.ID)
	t.on(e)
	t.entry.Before = ""
	if c.opts.Asynchronous && t.atOnce("pending", c.opts.Latency.Create) {
		e.now.Status = StatusAvailable
		c.commit(e, t.now, t.hidden())
		return e, nil
	}
	c.commit(e, t.now, t.hidden())
	e.due = t.transition("pending", c.opts.Latency.Create, func(at time.Time) {
		before := e.state()
		e.now.Status, e.due = StatusAvailable, nil
		c.commit(e, at, 0)
		c.happened(at, "created", e, "", before)
	})
	return e, nil
}

// make makes an interface of what it is given, without a version of it yet.
func (c *Cloud) make(s *subnet, g gifts, i Interface) *eni {
	i.ID, i.MAC, i.Owner = c.id("eni"), c.mac(), c.opts.Account
	i.Subnet, i.VPC, i.Zone, i.ZoneID = s.ID, s.VPC, s.Zone, s.ZoneID
	i.Status, i.SourceDestCheck = StatusPending, true
	e := &eni{n: c.next(), now: i, subnet: s}
	for n, a := range g.ipv4 {
		e.now.IPv4 = append(e.now.IPv4, PrivateIP{Addr: a, Primary: n == 0, DNS: c.dns(a)})
	}
	e.now.IPv6, e.now.IPv4Prefixes, e.now.IPv6Prefixes = g.ipv6, g.blocks, g.blocks6
	g.take(s.space, e)
	c.enis[i.ID] = e
	return e
}

// text is the request as a token remembers it: what pointers point to, and not where.
func (r CreateInterface) text() any {
	count, check := "unsaid", "unsaid"
	if r.IPv6Count != nil {
		count = strconv.Itoa(*r.IPv6Count)
	}
	if r.SourceDestCheck != nil {
		check = strconv.FormatBool(*r.SourceDestCheck)
	}
	r.IPv6Count, r.SourceDestCheck = nil, nil
	return struct {
		CreateInterface
		Count, Check string
	}{r, count, check}
}

// dns is the name of a private address.
func (c *Cloud) dns(a netip.Addr) string {
	return "ip-" + strings.ReplaceAll(a.String(), ".", "-") + "." + c.opts.Region + ".compute.internal"
}

// change is a call that changes one interface and answers with nothing. ids are
// the interface's and those of what else it is about.
func (c *Cloud) change(ctx context.Context, call Call, api string, ids []string, do func(*turn, *eni) error) error {
	o := op{api: api, ids: ids, resources: func(t *turn) []Resource { return t.resourcesOf(ids...) }}
	_, err := serve(ctx, c, call, o, func(t *turn) (struct{}, error) {
		e, err := t.own(ids[0])
		if err == nil {
			err = do(t, e)
		}
		return struct{}{}, err
	})
	return err
}
