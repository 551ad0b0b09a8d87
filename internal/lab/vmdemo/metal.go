//go:build linux

package vmdemo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/nic"
)

// peer100 is the host on VLAN 100.
const peer100 = "peer100"

// metal is what the guest plays; nil where it is a virtual machine.
func (s *show) metal() *cluster.Metal {
	if !s.ofMetal {
		return nil
	}
	return &cluster.Metal{} // cut before the reader's eyes
}

// host is the guest that plays the physical host.
const host = "vm1"

// sh runs a script on the physical host and returns what it prints, without the last
// line's end.
func (s *show) sh(ctx context.Context, script string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("a script has taken %s: %s", patience, script))
	defer cancel()
	out, err := s.inGuest(host)(ctx, "sh", "-ec", script)
	return strings.TrimSpace(out), err
}

// A port is what the kernel says of a PF.
type port struct {
	Name        string `json:"ifname"`
	Promiscuity int    `json:"promiscuity"`
	VFs         []struct {
		VF    int    `json:"vf"`
		MAC   string `json:"address"`
		VLANs []struct {
			VLAN int `json:"vlan"`
		} `json:"vlan_list"`
		SpoofCheck bool `json:"spoofchk"`
		Trust      bool `json:"trust"`
	} `json:"vfinfo_list"`
}

// vlan is the tag that the card puts on frames of VF n; 0 is none.
func (p port) vlan(n int) int {
	for _, v := range p.VFs {
		if v.VF == n && len(v.VLANs) > 0 {
			return v.VLANs[0].VLAN
		}
	}
	return 0
}

// ports are the cards as iproute2 shows them, by PCI address.
func (s *show) ports(ctx context.Context) (map[string]port, error) {
	all := map[string]port{}
	for _, card := range cluster.Cards {
		out, err := s.sh(ctx, "ip -j -d link show dev $(ls /sys/bus/pci/devices/"+card+"/net)")
		if err != nil {
			return nil, err
		}
		var links []port
		if err := json.Unmarshal([]byte(out), &links); err != nil || len(links) != 1 {
			return nil, errors.Join(err, fmt.Errorf("card %s is %s", card, out))
		}
		all[card] = links[0]
	}
	return all, nil
}

// recipe is what the controller has the node make of the container's NIC.
func (s *show) recipe(ctx context.Context, container string) (nic.Device, error) {
	claim, err := story.Claim(ctx, s.lab.CLI, container)
	if err != nil {
		return nic.Device{}, err
	}
	all, err := s.nics(ctx)
	if err != nil {
		return nic.Device{}, err
	}
	at := slices.IndexFunc(all, func(n api.NICView) bool { return n.ID == claim.NIC })
	if at < 0 {
		return nic.Device{}, fmt.Errorf("no NIC %s of container %s", claim.NIC, container)
	}
	return all[at].Spec.Device, nil
}

// vfs are the VFs of a recipe.
func vfs(d nic.Device) []nic.VF {
	switch d.Kind {
	case nic.SRIOV:
		return []nic.VF{d.VF}
	case nic.Bonded:
		return d.Bond.Members
	}
	return nil
}

// vfNames are what they are called on the host.
func vfNames(d nic.Device) string {
	var all []string
	for _, v := range vfs(d) {
		all = append(all, v.Name)
	}
	return strings.Join(all, "+")
}

// A got is what a container has of the cards.
type got struct {
	story.Card

	device nic.Device
	took   time.Duration // from docker run to its eth0
}

// give starts a container on a network, waits for its eth0, and holds the tag that the
// cards put on its frames against the wanted one.
func (s *show) give(ctx context.Context, name, network string, vlan int) (g got, err error) {
	begin := time.Now()
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.make(gctx, host, name, running, "nicferry.network="+network) })
	group.Go(func() error {
		_, err := s.isBound(gctx, name)
		g.took = time.Since(begin)
		return err
	})
	if err := group.Wait(); err != nil {
		return g, err
	}
	if g.Card, err = story.Look(ctx, s.docker(host), name); err != nil {
		return g, err
	}
	if g.device, err = s.recipe(ctx, name); err != nil {
		return g, err
	}
	all, err := s.ports(ctx)
	for _, v := range vfs(g.device) {
		if is := all[v.PF].vlan(v.Index); err == nil && is != vlan {
			err = fmt.Errorf("the card puts tag %d on frames of %s, want %d", is, v.Name, vlan)
		}
	}
	return g, err
}

// giveBond is give for a bond over both cards, on VLAN 100: what the container has is
// the web of what comes later.
func (s *show) giveBond(ctx context.Context, name string) (got, error) {
	g, err := s.give(ctx, name, "bond100", 100)
	if err != nil {
		return g, err
	}
	s.web = g.Card
	members, err := s.members(ctx, name)
	all := vfs(g.device)
	if err == nil && (g.device.Kind != nic.Bonded || len(members) != 2 || len(all) != 2 || all[0].PF == all[1].PF) {
		err = fmt.Errorf("%s has a %s of %d members, want a bond of 2 on two cards: %+v", name, g.device.Kind, len(members), g.device)
	}
	return g, err
}

// unset wants that the cards put no tag on any VF's frames, and trust none.
func (s *show) unset(ctx context.Context) error {
	all, err := s.ports(ctx)
	if err != nil {
		return err
	}
	for card, p := range all {
		for _, v := range p.VFs {
			if p.vlan(v.VF) != 0 || v.Trust {
				return fmt.Errorf("VF %d of card %s is left as %+v", v.VF, card, v)
			}
		}
	}
	return nil
}

// from pings an address from a peer, and tells whether it answers within some seconds.
func (s *show) from(ctx context.Context, peer, addr string) (bool, error) {
	return answered(s.lab.Host().Run(ctx, "ip", "netns", "exec", peer, "sh", "-c", asks("ping -c 3 -i 0.5 -W 2 "+addr)))
}

// asks has a script say whether a command is well.
func asks(command string) string { return command + " >/dev/null 2>&1 && echo yes || echo no" }

func answered(out string, err error) (bool, error) { return strings.TrimSpace(out) == "yes", err }

// hears asks, in a container, for who has an address on its wire, and tells whether
// anybody says so.
func (s *show) hears(ctx context.Context, container, addr string) (bool, error) {
	return answered(s.docker(host)(ctx, "exec", container, "sh", "-c", asks("arping -q -c 3 -f -w 5 -I eth0 "+addr)))
}
