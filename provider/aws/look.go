package aws

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// maxPage is the most that a page holds.
const maxPage = 1000

// Get implements provider.Provider. It asks by tag and never by interface ids: an
// id that EC2 does not show yet, or any more, fails the whole call, and there is
// no id to ask by after a restart. It costs one call for each 200 NICs.
func (p *Provider) Get(ctx context.Context, ids ...nic.ID) (map[nic.ID]nic.Seen, error) {
	fail := p.failing("get", "")
	all, err := p.look(ctx, ids...)
	if err != nil {
		return nil, fail(err)
	}
	got := map[nic.ID]nic.Seen{}
	for id, f := range all {
		p.mend(ctx, f)
		if got[id], err = p.seen(ctx, f); err != nil {
			return nil, fail(err)
		}
	}
	return got, nil
}

// List implements provider.Provider.
func (p *Provider) List(ctx context.Context) ([]nic.Seen, error) {
	fail := p.failing("list", "")
	if err := p.pace.Take(ctx, apiDescribeInterfaces); err != nil {
		return nil, fail(err)
	}
	byNIC, err := p.describe(ctx)
	if err != nil {
		return nil, fail(err)
	}
	var list []nic.Seen
	for id, twins := range byNIC {
		if gone(twins[0], p.recent.of(id)) {
			continue
		}
		p.mend(ctx, twins[0])
		seen, err := p.seen(ctx, twins[0])
		if err != nil {
			return nil, fail(err)
		}
		list = append(list, seen)
	}
	slices.SortFunc(list, func(a, b nic.Seen) int { return cmp.Compare(a.NIC, b.NIC) })
	return list, nil
}

// gone says of what EC2 shows that we know it is not there any more.
func gone(f iface, d deeds) bool { return d.deleted() && f.plug == nil }

// look returns the interfaces of the NICs that EC2 shows. What was deleted and is
// shown still is not among them.
func (p *Provider) look(ctx context.Context, ids ...nic.ID) (map[nic.ID]iface, error) {
	twins, err := p.lookAll(ctx, ids...)
	if err != nil {
		return nil, err
	}
	all := map[nic.ID]iface{}
	for id, fs := range twins {
		if !gone(fs[0], p.recent.of(id)) {
			all[id] = fs[0]
		}
	}
	return all, nil
}

// lookAll is look with what has been deleted, and with a NIC's other interfaces
// where there are several: see choose.
func (p *Provider) lookAll(ctx context.Context, ids ...nic.ID) (map[nic.ID][]iface, error) {
	known := slices.DeleteFunc(slices.Clone(ids), func(id nic.ID) bool { _, err := nic.ParseID(string(id)); return err != nil })
	return p.interfaces.Ask(ctx, known...)
}

// describeNICs is one batch of lookAll.
func (p *Provider) describeNICs(ctx context.Context, ids []nic.ID) (map[nic.ID][]iface, error) {
	values := make([]string, len(ids))
	for i, id := range ids {
		values[i] = string(id)
	}
	return p.describe(ctx, types.Filter{Name: aws.String("tag:" + tagNIC), Values: values})
}

// describe returns our interfaces that pass the filters, each NIC's best one
// first. Its first call has had its turn. The whole of the pages, or an error.
func (p *Provider) describe(ctx context.Context, filters ...types.Filter) (map[nic.ID][]iface, error) {
	in := &ec2.DescribeNetworkInterfacesInput{
		Filters:    append(filters, types.Filter{Name: aws.String("tag:" + tagCluster), Values: []string{p.opts.Cluster}}),
		MaxResults: aws.Int32(maxPage),
	}
	got, asked := map[nic.ID][]iface{}, time.Now()
	err := p.pages(ctx, apiDescribeInterfaces, func(token *string) (*string, error) {
		in.NextToken = token
		out, err := send(ctx, p, apiDescribeInterfaces, p.api.DescribeNetworkInterfaces, in)
		if err != nil {
			return nil, err
		}
		for _, ni := range out.NetworkInterfaces {
			f := ifaceOf(ni)
			if _, err := nic.ParseID(string(f.nic)); err != nil {
				p.opts.Log.Warn("interface has the tag of this cluster and of no NIC: left alone", "interface", f.id, "tag", string(f.nic))
				continue
			}
			got[f.nic] = append(got[f.nic], f)
		}
		return out.NextToken, nil
	})
	if err != nil {
		return nil, err
	}
	for id, fs := range got {
		p.choose(id, fs)
		p.recent.shown(fs[0], asked)
	}
	return got, nil
}

// pages asks for one page after the other, until there is no token. A page may be
// empty and have one. A token that comes twice would go round for ever.
func (p *Provider) pages(ctx context.Context, api string, page func(token *string) (*string, error)) error {
	tokens := map[string]bool{}
	var token *string
	for {
		next, err := page(token)
		if err != nil || aws.ToString(next) == "" {
			return err
		}
		if tokens[*next] {
			return provider.Errorf(provider.ErrUnknown, "%s: EC2 gave the same page token twice after %d pages: the list cannot be read to its end", api, len(tokens)+1)
		}
		tokens[*next] = true
		token = next
		if err := p.pace.Take(ctx, api); err != nil {
			return err
		}
	}
}

// choose puts that interface first that is the NIC, should there be several: one
// that is plugged in, or else the one with the lowest id. There should never be;
// Delete deletes them all.
func (p *Provider) choose(id nic.ID, fs []iface) {
	slices.SortFunc(fs, func(a, b iface) int {
		if (a.plug != nil) != (b.plug != nil) {
			if a.plug != nil {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.id, b.id)
	})
	if len(fs) > 1 {
		p.opts.Log.Error("several interfaces carry one NIC's tag; the others go when it is deleted", "nic", id, "interface", fs[0].id, "other", fs[1].id)
	}
}

// seen says what there is of an interface in the contract's words.
func (p *Provider) seen(ctx context.Context, f iface) (nic.Seen, error) {
	d := p.recent.of(f.nic)
	s := nic.Seen{NIC: f.nic, ProviderID: f.id, MAC: f.mac, Addrs: slices.Clone(f.addrs), Subnet: f.subnet}
	s.State, s.Place = stateOf(f, d)
	if s.State == nic.StateAttached || s.State == nic.StateDetaching {
		s.Device = nic.Device{Kind: nic.Found, MAC: f.mac, MTU: jumbo}
	}
	if f.subnet == "" || len(f.addrs) == 0 {
		return s, nil
	}
	net, err := p.subnetOf(ctx, f.subnet)
	if err != nil {
		return nic.Seen{}, err
	}
	s.Subnets = net.of(f.addrs)
	return s, nil
}
