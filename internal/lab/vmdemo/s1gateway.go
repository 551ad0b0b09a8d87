//go:build linux

package vmdemo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/story"
)

// eniOf is the cloud's id of a container's first NIC.
func (s *show) eniOf(ctx context.Context, container string) (string, error) {
	claim, err := story.Claim(ctx, s.lab.CLI, container)
	if err != nil {
		return "", err
	}
	return s.interfaceOf(ctx, claim.NIC)
}

// grouped asks the cloud which security groups web's NIC is in.
func (s *show) grouped(ctx context.Context) (string, error) {
	about, err := s.lab.AboutCloud(ctx)
	if err != nil {
		return "", err
	}
	eni, err := s.eniOf(ctx, "web")
	if err != nil {
		return "", err
	}
	var said struct {
		NetworkInterfaceSets struct {
			NetworkInterfaceSet []struct {
				SecurityGroupIds struct{ SecurityGroupId []string }
			}
		}
	}
	if err := s.ecs(ctx, &said, "DescribeNetworkInterfaces", "NetworkInterfaceId.1="+eni); err != nil {
		return "", err
	}
	all := said.NetworkInterfaceSets.NetworkInterfaceSet
	if len(all) != 1 || !slices.Contains(all[0].SecurityGroupIds.SecurityGroupId, about.Group) {
		return "", fmt.Errorf("the cloud has %+v, want group %s", all, about.Group)
	}
	return fmt.Sprintf("web's %s is in security group %s, which its network names; to apply its rules, ACLs and QoS per NIC is the cloud's own part, and the emulator has no traffic", eni, about.Group), nil
}

// floats has the NICs of a network have a floating address that an operator has made, and
// asks for it from outside once a container has announced it.
func (s *show) floats(ctx context.Context) (string, error) {
	about, err := s.lab.AboutCloud(ctx)
	if err != nil {
		return "", err
	}
	var made struct{ HaVipId, IpAddress string } //nolint:revive // the vendor's words
	if err := s.ecs(ctx, &made, "CreateHaVip", "VSwitchId="+about.Subnets[0].ID); err != nil {
		return "", err
	}
	if err := s.lab.AddNetwork(ctx, "floating", "haVips: ["+made.HaVipId+"]"); err != nil {
		return "", err
	}
	if err := s.make(ctx, host, "vip", []string{"run", "-itd", "--cap-add", "NET_ADMIN"}, "nicferry.network=floating"); err != nil {
		return "", err
	}
	if _, err := s.bound(ctx, host, "vip"); err != nil {
		return "", err
	}
	eni, err := s.eniOf(ctx, "vip")
	if err != nil {
		return "", err
	}
	var said struct {
		HaVips struct {
			HaVip []struct {
				Status              string
				AssociatedInstances struct {
					AssociatedInstance []string `json:"associatedInstance"`
				}
			}
		}
	}
	if err := s.ecs(ctx, &said, "DescribeHaVips"); err != nil {
		return "", err
	}
	if all := said.HaVips.HaVip; len(all) != 1 || !slices.Equal(all[0].AssociatedInstances.AssociatedInstance, []string{eni}) {
		return "", fmt.Errorf("the cloud has %+v, want it on %s", all, eni)
	}
	// As keepalived does: who has it sets it, and says so on the wire.
	if _, err := s.docker(host)(ctx, "exec", "vip", "sh", "-ec", "ip addr add "+made.IpAddress+"/32 dev eth0; arping -q -U -c 1 -I eth0 "+made.IpAddress); err != nil {
		return "", err
	}
	if err := s.reachable(ctx, made.IpAddress); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s is %s; nicferry has associated it with vip's %s, vip has set and announced it, and a client outside reaches it by the router, which plays the gateway",
		made.HaVipId, made.IpAddress, eni), nil
}

// public starts app with a public address, which the router translates as the cloud's
// gateway does.
func (s *show) public(ctx context.Context) (result string, err error) {
	card, err := s.startIn(ctx, "app", "public")
	if err != nil {
		return "", err
	}
	claim, err := s.claimed(ctx, "app", "the public address of app", func(c api.ClaimView) bool { return c.Identity.Public.IsValid() })
	if err != nil {
		return "", err
	}
	eip := claim.Identity.Public.String()
	nat := func(verb string) error {
		_, err := s.lab.Host().Run(ctx, "ip", "netns", "exec", cluster.LAN, "iptables", "-t", "nat", verb, "PREROUTING", "-d", eip, "-j", "DNAT", "--to-destination", card.V4.String())
		return err
	}
	if err := nat("-A"); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, nat("-D")) }()
	if err := s.reachable(ctx, eip); err != nil {
		return "", err
	}
	return fmt.Sprintf("EIP %s is on app's ENI, and leads to %s by the router, which plays the gateway here; security group and HaVip: S1-7, S1-8; "+
		"SLB, NAT gateway, DDoS shield and custom routes are the cloud's own, and are told of an ENI's id or address as of any instance's", eip, card.V4), nil
}

// twoVPCs starts two, with an interface in each VPC, and far, in the other alone.
func (s *show) twoVPCs(ctx context.Context) (string, error) {
	if _, err := s.startIn(ctx, "two", "vpc", "nicferry.nic.eth1=network=other"); err != nil {
		return "", err
	}
	first, second, err := s.both(ctx, "two")
	if err != nil {
		return "", err
	}
	far, err := s.startIn(ctx, "far", "other")
	if err != nil {
		return "", err
	}
	for from, addrs := range map[string][]string{
		"two": {s.web.V4.String(), far.V4.String()}, // each by its own interface
		"web": {far.V4.String()},                    // by the router of both
	} {
		if err := s.reaches(ctx, host, from, addrs...); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("two has %s of ECS in the one and %s of libvirt in the other, and reaches web and far, each by its own; web reaches far by the router, which joins the two; "+
		"ECS attaches to an instance no ENI of another VPC: there the platform plugs it in", first.V4, second.V4), nil
}

// apart: nobody in the other VPC hears web on its wire, the metadata is out of reach, and
// the platform's own switch knows no container's MAC.
func (s *show) apart(ctx context.Context) (string, error) {
	same, err := s.hears(ctx, "two", s.web.V4.String())
	other, err2 := s.hears(ctx, "far", s.web.V4.String())
	if err := errors.Join(err, err2); err != nil || !same || other {
		return "", errors.Join(err, fmt.Errorf("two, of its VPC, hears web: %t, want true; far, of the other, hears it: %t, want false", same, other))
	}
	if err := s.keptFromMetadata(ctx, host, "web"); err != nil {
		return "", err
	}
	known := map[string]bool{}
	for _, bridge := range []string{cluster.LANBridge, cluster.ManagementBridge} {
		out, err := s.lab.Host().Run(ctx, "bridge", "fdb", "show", "br", bridge)
		if err != nil {
			return "", err
		}
		known[bridge] = strings.Contains(out, s.web.MAC)
	}
	if !known[cluster.LANBridge] || known[cluster.ManagementBridge] {
		return "", fmt.Errorf("web's MAC is known to %v, want to %s alone", known, cluster.LANBridge)
	}
	return fmt.Sprintf("two hears web on its wire and far does not, which is in the other VPC; web reaches no metadata; %s has web's MAC, and %s, by which the platform speaks to the VMs, has not; "+
		"security groups within one vSwitch: S1-7", cluster.LANBridge, cluster.ManagementBridge), nil
}
