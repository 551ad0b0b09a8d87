package aliyun

import (
	"context"
	"errors"
	"net/netip"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
)

// about is what a finding of a permission is about.
func about(api string) string { return "permission " + permission(api) }

// permitted says what an error of a try means, and whether the cloud answered to somebody
// that it knows. ECS has no dry runs of what is tried here: a look is tried by looking,
// and a change by one that is refused for another reason, once it is permitted.
func permitted(api string, err error) (f provider.Finding, known bool) {
	f = provider.Finding{Verdict: provider.Good, About: about(api)}
	if err == nil {
		return f, true
	}
	e, _ := errors.AsType[*provider.Error](err)
	f.Verdict, f.Message = provider.Unknown, e.Err.Error()
	r := saying(err)
	known = r.Code != ""
	switch {
	case lacks(r.Code):
		f.Verdict, f.Message = provider.Bad, "is missing: allow it as examples/aliyun does; ECS says: "+f.Message
	case !known, errors.Is(e, provider.ErrDenied): // to the cloud this is nobody
		f.Verdict, known = provider.Bad, false
	}
	return f, known
}

// TryLooks implements eni.Trier.
func (c *cloud) TryLooks(ctx context.Context) (found []provider.Finding, known bool) {
	none := []string{"none"}
	for _, try := range []struct {
		api string
		do  func() error
	}{
		{apiDescribeVSwitches, func() error { _, err := c.Subnets(ctx, none); return err }},
		{apiDescribeGroups, func() error { _, err := c.Groups(ctx, none); return err }},
		{apiDescribeInterfaces, func() error { _, err := c.Interfaces(ctx, []nic.ID{"none"}); return err }},
		{apiListTags, func() error { _, err := c.idsOfAll(ctx); return err }},
		{apiDescribeInstances, func() error { _, err := c.Instances(ctx, []nic.InstanceID{"none"}); return err }},
		{apiDescribeTypes, func() error { _, err := c.Types(ctx, none); return err }},
	} {
		f, known := permitted(try.api, try.do())
		if found = append(found, f); !known {
			return found, false
		}
	}
	return found, true
}

// TryCreate implements eni.Trier. It asks for an address that the cloud gives to no
// interface: the first one of the subnet.
func (c *cloud) TryCreate(ctx context.Context, w eni.Wanted) provider.Finding {
	all, err := c.Subnets(ctx, []string{w.Spec.Cloud.Subnet})
	if err != nil {
		return provider.Finding{Verdict: provider.Unknown, About: about(apiCreateInterface), Message: err.Error()}
	}
	nobodys := reserved(all[w.Spec.Cloud.Subnet])
	if !nobodys.IsValid() {
		return provider.Finding{Verdict: provider.Unknown, About: about(apiCreateInterface), Message: "the subnet has no IPv4 prefix that is known"}
	}
	w.Spec.Addrs, w.Spec.Cloud.Secondary, w.Spec.Cloud.Prefixes = []netip.Addr{nobodys}, 0, 0
	_, err = c.Create(ctx, w)
	return tried(apiCreateInterface, err)
}

// reserved is an address of a subnet that no interface can have.
func reserved(s eni.Subnet) netip.Addr {
	for _, n := range s.Nets {
		if n.Prefix.Addr().Is4() {
			return n.Prefix.Masked().Addr()
		}
	}
	return netip.Addr{}
}

// tried says what is found by asking for that address.
func tried(api string, err error) provider.Finding {
	f, _ := permitted(api, err)
	switch e, _ := errors.AsType[*provider.Error](err); {
	case err == nil:
		f.Verdict, f.Message = provider.Unknown, "ECS gave an address that no interface can have"
	case e.Kind == provider.ErrInvalid && e.Scope == provider.ScopeAddress:
		f.Verdict, f.Message = provider.Good, "tried by an address that ECS gives to no interface"
	case e.Kind == provider.ErrInvalid, e.Kind == provider.ErrExhausted:
		f.Verdict = provider.Bad
	}
	return f
}

// TryChanges implements eni.Trier. What is not tried could take place.
func (c *cloud) TryChanges(ctx context.Context, f *eni.Interface, in eni.Subnet, moves bool) []provider.Finding {
	var found []provider.Finding
	later := func(why string, apis ...string) {
		for _, api := range apis {
			found = append(found, provider.Finding{Verdict: provider.Unknown, About: about(api), Message: why})
		}
	}
	later("cannot be tried without doing it: ECS has no dry run of it", apiAttachInterface, apiDetachInterface, apiDeleteInterface)
	if f == nil {
		later("cannot be tried before there is a NIC of this controller", apiModifyInterface)
		if moves {
			later("cannot be tried before there is a NIC of this controller", apiAssign4)
		}
		return found
	}
	err := c.modify(ctx, *f, func(r *ecs.ModifyNetworkInterfaceAttributeRequest) { r.Description = f.Description }) // which it has
	try, _ := permitted(apiModifyInterface, err)
	found = append(found, try)
	if !moves {
		return found
	}
	if nobodys := reserved(in); nobodys.IsValid() {
		return append(found, tried(apiAssign4, c.give(ctx, *f, []netip.Addr{nobodys})))
	}
	later("the subnet of the NIC that it is tried on has no IPv4 prefix that is known", apiAssign4)
	return found
}
