//go:build linux

package vmdemo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// metalOpening are the lines of the story before the host is looked at, to be held
// against what it is in the end.
func (s *show) metalOpening() []story.Scene {
	return []story.Scene{
		{What: "bring a host up with two cards, one on switch A, one on switch B", Play: s.bringUp},
		{What: "nicferry-agent sriov enable --vfs 7, for each card", Play: s.cut},
	}
}

// metalScenes are the lines of the story where the guest plays a physical host, in
// order.
func (s *show) metalScenes() []story.Scene {
	return []story.Scene{
		{What: "docker run --network none --label nicferry.network=bond100 … web", Play: s.bonded},
		{What: "docker run … nicferry.network=vf100 … app, docker run … nicferry.network=vf200 … db: who hears whom", Play: s.isolated},
		{What: "kill -9 nicferry-agent and start it again, under ping -i 0.01 from a host on VLAN 100", Play: s.killAgent},
		{What: "docker run … nicferry.network=vf, which has two VFs: one, two, three", Play: s.exhaust},
		{What: "docker rm one; nicferry promote three --yes", Play: s.promote},
		{What: "pull card A's cable out of switch A, under the same ping", Play: s.pull},
		{What: "docker rm -f all of them", Play: s.giveBack},
	}
}

// cut makes the VFs, which have names by their rule.
func (s *show) cut(ctx context.Context) (string, error) {
	before, err := s.ports(ctx)
	if err != nil {
		return "", err
	}
	begin := time.Now()
	node, err := s.lab.Node(host)
	if err != nil {
		return "", err
	}
	if _, err := node.Cut(ctx, cluster.MaxVFs); err != nil {
		return "", err
	}
	took := time.Since(begin)
	after, err := s.ports(ctx)
	if err != nil {
		return "", err
	}
	var all []string
	for i, card := range cluster.Cards {
		if len(before[card].VFs) != 0 || len(after[card].VFs) != cluster.MaxVFs {
			return "", fmt.Errorf("card %s had %d VFs, and has %d; want 0 and %d", card, len(before[card].VFs), len(after[card].VFs), cluster.MaxVFs)
		}
		all = append(all, fmt.Sprintf("VF%d1 to VF%d%d", i+1, i+1, cluster.MaxVFs))
	}
	list, err := s.sh(ctx, cluster.GuestBin+"/nicferry-agent sriov list")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"VF11", "VF17", "VF21", "VF27"} {
		if !strings.Contains(list, name+" ") {
			return "", fmt.Errorf("no %s in\n%s", name, list)
		}
	}
	s.Fact("VFs made on two cards", fmt.Sprintf("%d in %s", 2*cluster.MaxVFs, seconds(took)), "14")
	return "the cards are 0000:01:00.0 and 0000:02:00.0, with " + strings.Join(all, " and "), nil
}

// bonded starts web on a bond over both cards.
func (s *show) bonded(ctx context.Context) (string, error) {
	g, err := s.giveBond(ctx, "web")
	if err != nil {
		return "", err
	}
	if err := s.answers(ctx, g.V4); err != nil {
		return "", err
	}
	s.Fact("docker run → eth0 is a bond with its address", seconds(g.took), "")
	return fmt.Sprintf("eth0 %s, MAC %s, is a bond of %s, %s after docker run began;\n"+
		"both cards put tag 100 on its frames, and the host on VLAN 100 pings it", g.V4, g.MAC, vfNames(g.device), seconds(g.took)), nil
}

// members are the interfaces in the bond that a container has as its eth0, and the state
// of their links.
func (s *show) members(ctx context.Context, container string) (map[string]string, error) {
	out, err := s.docker(host)(ctx, "exec", container, "cat", "/proc/net/bonding/eth0")
	if err != nil {
		return nil, err
	}
	all, name := map[string]string{}, ""
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case key == "Slave Interface":
			name = value
		case key == "MII Status" && name != "":
			all[name] = value
		}
	}
	return all, nil
}

// isolated starts a container on either VLAN. One on web's hears web; the other does
// not, though both are on web's card, and its own VLAN's host hears it.
func (s *show) isolated(ctx context.Context) (string, error) {
	var app, db got
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { app, err = s.give(gctx, "app", "vf100", 100); return err })
	group.Go(func() (err error) { db, err = s.give(gctx, "db", "vf200", 200); return err })
	if err := group.Wait(); err != nil {
		return "", err
	}
	// db gets an address on web's subnet too, so that only the wire is between them.
	if _, err := s.docker(host)(ctx, "exec", "--privileged", "db", "ip", "addr", "add", "10.100.0.9/24", "dev", "eth0"); err != nil {
		return "", err
	}
	for _, ask := range []struct {
		what string
		ask  func() (bool, error)
		want bool
	}{
		{"app asks for web's MAC", func() (bool, error) { return s.hears(ctx, "app", s.web.V4.String()) }, true},
		{"db asks for web's MAC", func() (bool, error) { return s.hears(ctx, "db", s.web.V4.String()) }, false},
		{"db asks for app's MAC", func() (bool, error) { return s.hears(ctx, "db", app.V4.String()) }, false},
		{"the host on VLAN 200 pings db", func() (bool, error) { return s.from(ctx, "peer200", db.V4.String()) }, true},
		{"the host on VLAN 100 pings db's other address", func() (bool, error) { return s.from(ctx, peer100, "10.100.0.9") }, false},
	} {
		is, err := ask.ask()
		if err == nil && is != ask.want {
			err = fmt.Errorf("answered: %t, want %t", is, ask.want)
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", ask.what, err)
		}
	}
	s.Fact("answers across VLANs 100 and 200 on one card", "none", "none")
	return fmt.Sprintf("app, %s on %s, hears web; db, on %s with an address of web's subnet, hears neither of them,\n"+
		"and answers the host on VLAN 200 alone", app.V4, vfNames(app.device), vfNames(db.device)), nil
}

// pull shows that web is reached by card B as well. The cable is plugged in again in the
// end, for the VFs' next owners: igb lets none come back while it has one whose card was
// reset.
func (s *show) pull(ctx context.Context) (string, error) {
	node, err := s.lab.Node(host)
	if err != nil {
		return "", err
	}
	watch, err := lab.WatchFrom(ctx, s.lan, s.web.V4, 10*time.Millisecond)
	if err != nil {
		return "", err
	}
	defer watch.End()
	if err := watch.Heard(ctx, patience); err != nil {
		return "", err
	}
	if err := node.Plug(ctx, 0, false); err != nil {
		return "", err
	}
	err = s.awaitMembers(ctx, "web", 1)
	if err == nil {
		err = errors.Join(retry.Sleep(ctx, 2*time.Second), watch.Heard(ctx, patience))
	}
	ping, silences, endErr := watch.End()
	if err := errors.Join(err, endErr, node.Plug(ctx, 0, true)); err != nil {
		return "", err
	}
	now, err := story.Look(ctx, s.docker(host), "web")
	if err == nil && now != s.web {
		err = fmt.Errorf("web had %+v, and has %+v", s.web, now)
	}
	if err != nil {
		return "", err
	}
	gap := silences[0].For()
	s.Figures.Pings["cable"] = ping
	s.Fact("card A's cable pulled: longest silence of a ping", seconds(gap), "")
	return fmt.Sprintf("traffic goes on over card B and switch B, with the same MAC and address, after a silence of %s; %s", seconds(gap), ping), nil
}

// awaitMembers waits until so many members of a bond are down.
func (s *show) awaitMembers(ctx context.Context, container string, down int) error {
	_, err := story.Until(ctx, fmt.Sprintf("%d members of %s's bond to be down", down, container), patience, func() (bool, bool, error) {
		all, err := s.members(ctx, container)
		n := 0
		for _, state := range all {
			if state != "up" {
				n++
			}
		}
		if err == nil && n != down {
			err = fmt.Errorf("they are %v", all)
		}
		return true, err == nil, errors.Join(err, retry.Sleep(ctx, askEvery))
	})
	return err
}

// exhaust takes the two VFs that network vf has, and one more.
func (s *show) exhaust(ctx context.Context) (string, error) {
	var said []string
	for _, name := range []string{"one", "two", "three"} {
		g, err := s.give(ctx, name, "vf", 0)
		if err != nil {
			return "", err
		}
		if answers, err := s.from(ctx, "peer", g.V4.String()); err != nil || !answers {
			return "", errors.Join(err, fmt.Errorf("%s, a %s, does not answer at %s", name, g.device.Kind, g.V4))
		}
		said = append(said, strings.TrimSpace(fmt.Sprintf("%s has a %s %s", name, g.device.Kind, vfNames(g.device))))
	}
	claim, err := s.claimed(ctx, "three", "the claim of three to say that it fell back", fellBack)
	if err != nil {
		return "", err
	}
	for _, c := range claim.Conditions {
		if c.Reason == nic.ReasonFellBack {
			said = append(said, "\nthree's claim says: "+c.Message)
		}
	}
	s.Fact("a container beyond the VFs", "a macvlan on the card", "a macvlan on the card")
	return strings.Join(said[:3], ", ") + strings.Join(said[3:], ""), nil
}

func fellBack(c api.ClaimView) bool {
	for _, each := range c.Conditions {
		if each.Reason == nic.ReasonFellBack {
			return true
		}
	}
	return false
}

// promote frees a VF, and has three get it.
func (s *show) promote(ctx context.Context) (string, error) {
	if _, err := s.docker(host)(ctx, "rm", "-f", "one"); err != nil {
		return "", err
	}
	if _, err := story.Until(ctx, "the VF of one to be free", patience, func() (bool, bool, error) {
		_, err := story.Claim(ctx, s.lab.CLI, "one")
		return true, err != nil, retry.Sleep(ctx, askEvery)
	}); err != nil {
		return "", err
	}
	begin := time.Now()
	if _, err := s.lab.CLI(ctx, "promote", "three", "--yes", "--timeout", patience.String()); err != nil {
		return "", err
	}
	if _, err := s.claimed(ctx, "three", "three to have a VF", func(c api.ClaimView) bool { return c.Phase == nic.ClaimBound && !fellBack(c) }); err != nil {
		return "", err
	}
	device, err := s.recipe(ctx, "three")
	if err != nil {
		return "", err
	}
	card, err := story.Look(ctx, s.docker(host), "three")
	if err != nil {
		return "", err
	}
	if answers, err := s.from(ctx, "peer", card.V4.String()); err != nil || !answers || device.Kind != nic.SRIOV {
		return "", errors.Join(err, fmt.Errorf("three, a %s, answers: %t", device.Kind, answers))
	}
	return fmt.Sprintf("three has %s, with %s as before, after %s", vfNames(device), card.V4, seconds(time.Since(begin))), nil
}

// giveBack removes all containers, and waits until the controller has nothing on
// record.
func (s *show) giveBack(ctx context.Context) (string, error) {
	begin := time.Now()
	if _, err := s.docker(host)(ctx, "rm", "-f", "web", "app", "db", "two", "three"); err != nil {
		return "", err
	}
	if err := s.allGone(ctx); err != nil {
		return "", err
	}
	took := time.Since(begin)
	if err := s.unset(ctx); err != nil {
		return "", err
	}
	s.Fact("docker rm → all VFs are free, and set as before", seconds(took), "")
	return fmt.Sprintf("all VFs are free %s after docker rm began, without VLANs; below every field of theirs is held against what it was", seconds(took)), nil
}
