package aws

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Create implements provider.Provider. The NIC's id is the creation token, which
// EC2 keeps for some time, and a tag, which it keeps for good: a look at that comes
// first, unless it has only just been placed. What belongs to a NIC besides the call that makes it is done by whichever
// Create finds it undone.
func (p *Provider) Create(ctx context.Context, spec nic.Spec) (nic.Seen, error) {
	fail := p.failing("create", spec.NIC)
	if err := check(spec); err != nil {
		return nic.Seen{}, fail(err)
	}
	var f iface
	var err error
	if !p.recent.of(spec.NIC).isNew() {
		f, err = p.found(ctx, spec)
	}
	if err == nil && f.id == "" {
		f, err = p.make(ctx, spec)
	}
	if err == nil {
		err = p.finish(ctx, spec, f)
	}
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	seen, err := p.seen(ctx, f)
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	return seen, nil
}

func check(spec nic.Spec) error {
	_, err := nic.ParseID(string(spec.NIC))
	four := slices.ContainsFunc(spec.Addrs, netip.Addr.Is4)
	switch {
	case err != nil:
		return provider.Errorf(provider.ErrInvalid, "%s", err)
	case !spec.MAC.IsZero():
		return provider.Errorf(provider.ErrInvalid, "asks for MAC %s, but EC2 draws MACs itself", spec.MAC)
	case spec.Cloud.Subnet == "":
		return provider.Errorf(provider.ErrInvalid, "no subnet is chosen")
	case spec.Cloud.Prefixes > 0 && four && len(spec.Addrs) > 1:
		return provider.Errorf(provider.ErrInvalid, "asks for prefixes and for more addresses than the first: EC2 gives one or the other")
	case spec.Cloud.Secondary > 0 && (spec.Cloud.Prefixes > 0 || len(spec.Addrs) > 0):
		return provider.Errorf(provider.ErrInvalid, "asks for %d further addresses, and for prefixes or for certain addresses: EC2 gives one or the other", spec.Cloud.Secondary)
	}
	return nil
}

// found is the NIC's interface if there is one; empty if none is seen.
func (p *Provider) found(ctx context.Context, spec nic.Spec) (iface, error) {
	all, err := p.lookAll(ctx, spec.NIC)
	if err != nil {
		return iface{}, err
	}
	fs := all[spec.NIC]
	if len(fs) == 0 {
		return iface{}, nil
	}
	if d := p.recent.of(spec.NIC); gone(fs[0], d) {
		return iface{}, provider.Errorf(provider.ErrBusy, "is being deleted")
	}
	if _, mark, ok := strings.Cut(fs[0].description, markWord); ok && mark != markOf(spec) {
		return iface{}, provider.Errorf(provider.ErrInvalid, "%s was made with other parameters: another NIC needs another id", fs[0].id)
	}
	return fs[0], nil
}

// markWord is before the mark of the spec in the description of an interface, by
// which other parameters under the same id are known.
const markWord = ", spec "

func markOf(spec nic.Spec) string {
	text, err := json.Marshal(spec)
	if err != nil {
		panic(fmt.Sprintf("spec as JSON: %v", err)) // plain data always can be
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// make makes the interface. All tags are in the one call, so that nothing of ours
// is ever without. Prefixes are asked for by number: with named ones EC2 answers
// InternalError to tags.
func (p *Provider) make(ctx context.Context, spec nic.Spec) (iface, error) {
	c := spec.Cloud
	in := &ec2.CreateNetworkInterfaceInput{
		SubnetId: aws.String(c.Subnet), ClientToken: aws.String(string(spec.NIC)),
		Description: aws.String("nicferry " + string(spec.NIC) + markWord + markOf(spec)),
		Groups:      c.Groups,
		TagSpecifications: []types.TagSpecification{{
			ResourceType: types.ResourceTypeNetworkInterface, Tags: p.tags(spec),
		}},
	}
	if c.Prefixes > 0 {
		in.Ipv4PrefixCount = aws.Int32(int32(c.Prefixes)) //nolint:gosec // the config bounds it
	}
	if c.Secondary > 0 { // by number: the token keeps it from being twice as many
		in.SecondaryPrivateIpAddressCount = aws.Int32(int32(c.Secondary)) //nolint:gosec // the type's limit bounds it
	}
	address(in, spec.Addrs, c.IPv6)
	p.recent.acts(spec.NIC)
	out, err := call(ctx, p, apiCreateInterface, p.api.CreateNetworkInterface, in)
	if err != nil {
		return p.notMade(ctx, spec, err)
	}
	if out.NetworkInterface == nil || aws.ToString(out.NetworkInterface.NetworkInterfaceId) == "" {
		return iface{}, provider.Errorf(provider.ErrUnknown, "%s: the answer has no interface in it", apiCreateInterface)
	}
	f := ifaceOf(*out.NetworkInterface)
	f.nic, f.node, f.checked = spec.NIC, spec.Node, true // as made, should the answer not repeat it
	p.recent.made(spec.NIC, f)
	p.spend(c.Subnet, 1+c.Secondary)
	return f, nil
}

// address says which addresses the interface gets. Without IPv6 it gets none, even
// in a subnet that gives each interface one.
func address(in *ec2.CreateNetworkInterfaceInput, addrs []netip.Addr, six bool) {
	var four []netip.Addr
	for _, a := range addrs {
		if a.Is4() {
			four = append(four, a)
			continue
		}
		in.Ipv6Addresses = append(in.Ipv6Addresses, types.InstanceIpv6Address{Ipv6Address: aws.String(a.String())})
	}
	if len(in.Ipv6Addresses) == 0 {
		in.Ipv6AddressCount = aws.Int32(0)
		if six {
			in.Ipv6AddressCount = aws.Int32(1)
		}
	}
	if len(four) == 1 {
		in.PrivateIpAddress = aws.String(four[0].String())
		return
	}
	for i, a := range four {
		in.PrivateIpAddresses = append(in.PrivateIpAddresses, types.PrivateIpAddressSpecification{
			PrivateIpAddress: aws.String(a.String()), Primary: aws.Bool(i == 0),
		})
	}
}

func (p *Provider) tags(spec nic.Spec) []types.Tag {
	all := map[string]string{}
	maps.Copy(all, spec.Cloud.Tags)
	maps.Copy(all, map[string]string{
		tagNIC: string(spec.NIC), tagCluster: p.opts.Cluster, tagNode: spec.Node, tagName: "nicferry " + spec.Network,
	})
	var tags []types.Tag
	for _, key := range slices.Sorted(maps.Keys(all)) {
		tags = append(tags, types.Tag{Key: aws.String(key), Value: aws.String(all[key])})
	}
	return tags
}

// notMade looks at what a refused create is about.
func (p *Provider) notMade(ctx context.Context, spec nic.Spec, err error) (iface, error) {
	switch saying(err).code {
	case codeSubnetFull, codeFragmented:
		p.full.block(spec.Cloud.Subnet)
	case codeMismatch: // other parameters, or deleted since
		f, lookErr := p.found(ctx, spec)
		if lookErr != nil {
			return iface{}, lookErr
		}
		if f.id != "" {
			return f, nil
		}
	case codeAddressInUse: // perhaps by our own first attempt
		f, lookErr := p.found(ctx, spec)
		if lookErr != nil {
			return iface{}, lookErr
		}
		if f.id != "" {
			return f, nil
		}
		if p.recent.of(spec.NIC).tried() {
			return iface{}, busyInstead(err, retryYoung)
		}
	}
	if errors.Is(err, provider.ErrUnknown) {
		p.recent.note(spec.NIC, func(d *deeds) { d.triedAt = time.Now() })
	}
	return iface{}, err
}

// finish does what an interface lacks of what it was asked for.
func (p *Provider) finish(ctx context.Context, spec nic.Spec, f iface) error {
	if !spec.Cloud.Forwards || !f.checked || p.recent.of(spec.NIC).unchecked {
		return nil
	}
	defer p.recent.acts(spec.NIC)()
	_, err := call(ctx, p, apiModifyInterface, p.api.ModifyNetworkInterfaceAttribute, &ec2.ModifyNetworkInterfaceAttributeInput{
		NetworkInterfaceId: aws.String(f.id), SourceDestCheck: &types.AttributeBooleanValue{Value: aws.Bool(false)},
	})
	if errors.Is(err, provider.ErrNotFound) && p.recent.of(spec.NIC).young() {
		return busyInstead(err, retryYoung)
	}
	if err == nil {
		p.recent.note(spec.NIC, func(d *deeds) { d.unchecked = true })
	}
	return err
}
