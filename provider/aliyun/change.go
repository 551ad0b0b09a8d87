package aliyun

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
)

// tokens are how many of what has the same id are tried, should the first be spent.
const tokens = 4

// token is the n-th of an id, the same after every restart: whoever comes to it has gone
// through those before.
func token(id string, n int) string {
	if n == 0 {
		return id
	}
	return id + "-" + strconv.Itoa(n+1)
}

// Create implements eni.Cloud.
func (c *cloud) Create(ctx context.Context, w eni.Wanted) (f eni.Interface, err error) {
	if len(w.Spec.Cloud.Groups) == 0 {
		return f, provider.Errorf(provider.ErrInvalid, "the network names no security group: ECS makes no interface without")
	}
	for n := range tokens {
		f, err = c.create(ctx, w, token(string(w.Spec.NIC), n))
		if !errors.Is(err, errFirstFailed) {
			break
		}
	}
	return f, err
}

// create makes an interface, where an answer without one is documented to say that none
// was made, and to be good for asking again.
func (c *cloud) create(ctx context.Context, w eni.Wanted, token string) (eni.Interface, error) {
	for range attempts {
		made, err := call(ctx, c, apiCreateInterface, func() *ecs.CreateNetworkInterfaceRequest { return creation(w, token) }, ecs.CreateCreateNetworkInterfaceResponse)
		if err != nil {
			return eni.Interface{}, err
		}
		if made.NetworkInterfaceId == "" {
			continue
		}
		f := interfaceFrom(ecs.NetworkInterfaceSet{
			NetworkInterfaceId: made.NetworkInterfaceId, VSwitchId: made.VSwitchId, Description: made.Description, Status: made.Status,
			MacAddress: made.MacAddress, PrivateIpAddress: made.PrivateIpAddress, SourceDestCheck: made.SourceDestCheck,
			PrivateIpSets: ecs.PrivateIpSetsInDescribeNetworkInterfaces(made.PrivateIpSets),
			Ipv6Sets:      ecs.Ipv6SetsInDescribeNetworkInterfaces(made.Ipv6Sets),
		})
		f.Tied, f.Checked = true, f.Checked && !w.Spec.Cloud.Forwards // as asked for
		f.Trunk, f.Groups = w.Trunk, w.Spec.Cloud.Groups
		return f, nil
	}
	return eni.Interface{}, &provider.Error{
		Kind: provider.ErrBusy, Scope: provider.ScopeNIC, RetryAfter: conflictFor,
		Err: fmt.Errorf("%s: the answers have no interface in them, which says that none was made", apiCreateInterface),
	}
}

// creation is the call that makes an interface: with all its tags, to be deleted with its
// instance, and, where it forwards, without the check of source and destination. Where it
// does not, nothing is said of that check, which not every region knows.
func creation(w eni.Wanted, token string) *ecs.CreateNetworkInterfaceRequest {
	s := w.Spec.Cloud
	r := ecs.CreateCreateNetworkInterfaceRequest()
	r.VSwitchId, r.ClientToken, r.Description, r.NetworkInterfaceName = s.Subnet, token, w.Description, "nicferry-"+w.Spec.Network
	r.SecurityGroupIds, r.DeleteOnRelease = &s.Groups, requests.NewBoolean(true)
	r.Tag = list(w.Tags, func(key, value string) ecs.CreateNetworkInterfaceTag {
		return ecs.CreateNetworkInterfaceTag{Key: key, Value: value}
	})
	if w.Trunk {
		r.InstanceType = typeTrunk
	}
	if s.Forwards {
		r.SourceDestCheck = requests.NewBoolean(false)
	}
	if s.Prefixes > 0 {
		r.Ipv4PrefixCount = requests.NewInteger(s.Prefixes)
	}
	if s.Secondary > 0 { // by number: the token keeps it from being twice as many
		r.SecondaryPrivateIpAddressCount = requests.NewInteger(s.Secondary)
	}
	if four := only(w.Spec.Addrs, netip.Addr.Is4); len(four) > 0 {
		r.PrimaryIpAddress = four[0].String()
		r.PrivateIpAddress = texts(four[1:])
	}
	if six := only(w.Spec.Addrs, netip.Addr.Is6); len(six) > 0 {
		r.Ipv6Address = texts(six)
	} else if s.IPv6 {
		r.Ipv6AddressCount = requests.NewInteger(1)
	}
	return r
}

// Attach implements eni.Cloud. ECS begins it, and says no more.
func (c *cloud) Attach(ctx context.Context, f eni.Interface, instance nic.InstanceID, _ int) (string, error) {
	return string(instance), do(ctx, c, apiAttachInterface, func() *ecs.AttachNetworkInterfaceRequest {
		r := ecs.CreateAttachNetworkInterfaceRequest()
		r.NetworkInterfaceId, r.InstanceId = f.ID, string(instance)
		return r
	}, ecs.CreateAttachNetworkInterfaceResponse)
}

// Detach implements eni.Cloud.
func (c *cloud) Detach(ctx context.Context, f eni.Interface) error {
	return do(ctx, c, apiDetachInterface, func() *ecs.DetachNetworkInterfaceRequest {
		r := ecs.CreateDetachNetworkInterfaceRequest()
		r.NetworkInterfaceId, r.InstanceId, r.TrunkNetworkInstanceId = f.ID, string(f.Plug.Instance), f.Plug.Trunk
		return r
	}, ecs.CreateDetachNetworkInterfaceResponse)
}

// Delete implements eni.Cloud.
func (c *cloud) Delete(ctx context.Context, f eni.Interface) error {
	return do(ctx, c, apiDeleteInterface, func() *ecs.DeleteNetworkInterfaceRequest {
		r := ecs.CreateDeleteNetworkInterfaceRequest()
		r.NetworkInterfaceId = f.ID
		return r
	}, ecs.CreateDeleteNetworkInterfaceResponse)
}

// Tag implements eni.Cloud.
func (c *cloud) Tag(ctx context.Context, f eni.Interface, key, value string) error {
	return do(ctx, c, apiTag, func() *ecs.TagResourcesRequest {
		r := ecs.CreateTagResourcesRequest()
		r.ResourceType, r.ResourceId, r.Tag = resourceENI, &[]string{f.ID}, &[]ecs.TagResourcesTag{{Key: key, Value: value}}
		return r
	}, ecs.CreateTagResourcesResponse)
}

// Forward implements eni.Cloud.
func (c *cloud) Forward(ctx context.Context, f eni.Interface) error {
	return c.modify(ctx, f, func(r *ecs.ModifyNetworkInterfaceAttributeRequest) { r.SourceDestCheck = requests.NewBoolean(false) })
}

// Tie implements eni.Cloud.
func (c *cloud) Tie(ctx context.Context, f eni.Interface) error {
	return c.modify(ctx, f, func(r *ecs.ModifyNetworkInterfaceAttributeRequest) { r.DeleteOnRelease = requests.NewBoolean(true) })
}

func (c *cloud) modify(ctx context.Context, f eni.Interface, set func(*ecs.ModifyNetworkInterfaceAttributeRequest)) error {
	return do(ctx, c, apiModifyInterface, func() *ecs.ModifyNetworkInterfaceAttributeRequest {
		r := ecs.CreateModifyNetworkInterfaceAttributeRequest()
		r.NetworkInterfaceId = f.ID
		set(r)
		return r
	}, ecs.CreateModifyNetworkInterfaceAttributeResponse)
}

// fresh is a token of a call that is not to be made twice by its attempts, and may be
// made again by another.
func fresh() string { return rand.Text() }

func only(addrs []netip.Addr, is func(netip.Addr) bool) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return !is(a) })
}

// texts are addresses as the SDK wants them: nil is none.
func texts(addrs []netip.Addr) *[]string {
	if len(addrs) == 0 {
		return nil
	}
	all := make([]string, len(addrs))
	for i, a := range addrs {
		all[i] = a.String()
	}
	return &all
}

// list is a map's entries in order, as the SDK wants them.
func list[T any](m map[string]string, entry func(key, value string) T) *[]T {
	var all []T
	for _, key := range slices.Sorted(maps.Keys(m)) {
		all = append(all, entry(key, m[key]))
	}
	return &all
}
