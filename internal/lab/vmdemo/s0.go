//go:build linux

package vmdemo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nicferry/nicferry/internal/lab/cluster"
)

// agentCommand is how the host's cards are cut by hand.
const agentCommand = "nicferry-agent sriov "

// lines are the checklist. What a line makes the later ones use.
func (s *show) lines() []line {
	return []line{
		{"S0-1", "firmware and kernel let cards be cut", "nicferry doctor", s.preflight},
		{"S0-2", "a dry run says what would be set", agentCommand + "enable 0000:01:00.0 --vfs 64 --dry-run", s.wouldCut},
		{"S0-3", "VFs are made on each card", agentCommand + "enable 0000:01:00.0 --vfs 7, and 0000:02:00.0", s.cutBoth},
		{"S0-4", "VFs are named VF<card><n>", agentCommand + "list", s.named},
		{"S0-5", "VFs of one number on two cards, on switches A and B, are one bond", "docker exec mysql cat /proc/net/bonding/eth0", s.sameNumbers},
		{"S0-6", "the container has no network of Docker's", "docker run -d --network none --label nicferry.network=bond100 --name mysql …", s.noNetwork},
		{"S0-7", "an unused bond was picked, with the asked address and VLAN", "nicferry get claims -o json; ip -d link show", s.picked},
		{"S0-8", "inside it is eth0, with IPv4 and IPv6", "docker exec mysql ip addr show dev eth0; ping from VLAN 100", s.isEth0},
		{"S0-9", "nothing is promiscuous", "ip -d link show, on the host and in the containers", s.notPromiscuous},
		{"S0-10", "containers of other VLANs are not reached", "docker exec pg arping -I eth0 …", s.keptApart},
		{"S0-11", "what is released is free, and as it was", "docker rm -f mysql redis pg; " + agentCommand + "list", s.released},
		{"S0-12", "where VFs run out there is a way on", "docker run … nicferry.network=vf, three times", s.fallsBack},
	}
}

func (s *show) agent(ctx context.Context, args string) (string, error) {
	return s.sh(ctx, cluster.GuestBin+"/"+agentCommand+args+" 2>&1")
}

func (s *show) preflight(ctx context.Context) (string, error) {
	out, err := s.sh(ctx, cluster.GuestBin+"/nicferry doctor 2>&1 || true") // of other things it may find fault
	if err != nil {
		return "", err
	}
	var found []string
	cards := 0
	for each := range strings.Lines(out) {
		each = strings.TrimSpace(each)
		if strings.Contains(each, "0000:0") && strings.Contains(each, "virtual functions") {
			cards++
		}
		if strings.Contains(each, "sr-iov") || strings.Contains(each, "iommu") {
			found = append(found, each)
		}
	}
	if said := strings.Join(found, "; "); cards < len(cluster.Cards) || strings.Contains(said, "WARN") || !strings.Contains(said, "iommu") {
		return "", fmt.Errorf("it says %q in %q", said, out)
	}
	return strings.Join(found, "; "), nil
}

func (s *show) wouldCut(ctx context.Context) (string, error) {
	out, err := s.agent(ctx, "enable 0000:01:00.0 --vfs 64 --dry-run")
	if want := "echo 7 > /sys/bus/pci/devices/0000:01:00.0/sriov_numvfs"; err == nil && !strings.Contains(out, want) {
		err = fmt.Errorf("no %q in %q", want, out)
	}
	if now, err := s.sh(ctx, "cat /sys/bus/pci/devices/0000:01:00.0/sriov_numvfs"); err != nil || now != "0" {
		return "", errors.Join(err, fmt.Errorf("the dry run made %s VFs", now))
	}
	return out, err
}

func (s *show) cutBoth(ctx context.Context) (string, error) {
	if _, err := s.cut(ctx); err != nil {
		return "", err
	}
	out, err := s.sh(ctx, "cd /sys/bus/pci/devices; cat 0000:01:00.0/sriov_numvfs 0000:02:00.0/sriov_numvfs")
	if err == nil && strings.Join(strings.Fields(out), " ") != "7 7" {
		err = fmt.Errorf("sriov_numvfs are %q", out)
	}
	return "sriov_numvfs of both is 7", err
}

func (s *show) named(ctx context.Context) (string, error) {
	out, err := s.agent(ctx, "list")
	if err != nil {
		return "", err
	}
	for card := range len(cluster.Cards) {
		for n := range cluster.MaxVFs {
			if name := fmt.Sprintf("VF%d%d ", card+1, n+1); !strings.Contains(out, name) {
				return "", fmt.Errorf("no %sin %s", name, out)
			}
		}
	}
	return "VF11 to VF17, VF21 to VF27", nil
}

func (s *show) sameNumbers(ctx context.Context) (string, error) {
	g, err := s.giveBond(ctx, "mysql")
	if err != nil {
		return "", err
	}
	if all := vfs(g.device); all[0].Index != all[1].Index {
		return "", fmt.Errorf("the bond is of VFs of two numbers: %+v", all)
	}
	where, err := s.lab.Host().Run(ctx, "sh", "-c", "ovs-vsctl port-to-br vm1-a; ovs-vsctl port-to-br vm1-b")
	if want := cluster.SwitchA + " " + cluster.SwitchB; err == nil && oneLine(where) != want {
		err = fmt.Errorf("the cards are on %q, want %q", oneLine(where), want)
	}
	return fmt.Sprintf("%s, %s; 802.3ad is refused by 'nicferryd config check'", vfNames(g.device), g.device.Bond.Mode), errors.Join(err, s.refusesLACP(ctx))
}

// refusesLACP: a config that asks for 802.3ad is refused with the reason.
func (s *show) refusesLACP(ctx context.Context) error {
	script := fmt.Sprintf("sed s/active-backup/802.3ad/ %[1]s/nicferryd.yaml >%[1]s/lacp.yaml; %[2]s/nicferryd config check %[1]s/lacp.yaml 2>&1 || true; rm %[1]s/lacp.yaml", s.dir, s.Bin)
	out, err := s.lab.Host().Run(ctx, "sh", "-c", script)
	if err == nil && !strings.Contains(out, "LACP") {
		err = fmt.Errorf("a config with 802.3ad is not refused: %s", out)
	}
	return err
}

func (s *show) noNetwork(ctx context.Context) (string, error) {
	out, err := s.docker(host)(ctx, "inspect", "--format", "{{.HostConfig.NetworkMode}}, {{.State.Status}}", "mysql")
	if err == nil && out != "none, running" {
		err = errors.New(out)
	}
	return out, err
}

// picked starts a second one, which has other VFs than the first.
func (s *show) picked(ctx context.Context) (string, error) {
	first, err := s.recipe(ctx, "mysql")
	if err != nil {
		return "", err
	}
	g, err := s.give(ctx, "redis", "bond100", 100)
	if err != nil {
		return "", err
	}
	if vfNames(first) == vfNames(g.device) || g.V4 == s.web.V4 {
		return "", fmt.Errorf("both have %s, %s and %s", vfNames(first), s.web.V4, g.V4)
	}
	return fmt.Sprintf("mysql has %s and %s, redis %s and %s, all with VLAN 100", vfNames(first), s.web.V4, vfNames(g.device), g.V4), nil
}

func (s *show) isEth0(ctx context.Context) (string, error) {
	out, err := s.docker(host)(ctx, "exec", "mysql", "ip", "-o", "addr", "show", "dev", "eth0", "scope", "global")
	if err != nil {
		return "", err
	}
	var found []string
	for each := range strings.Lines(out) {
		fields := strings.Fields(each)
		if len(fields) < 4 {
			continue
		}
		addr, _, _ := strings.Cut(fields[3], "/")
		answers, err := s.from(ctx, peer100, addr)
		if err != nil || !answers {
			return "", errors.Join(err, fmt.Errorf("no answer from %s", addr))
		}
		found = append(found, fields[3])
	}
	if len(found) != 2 {
		return "", fmt.Errorf("eth0 has %q", found)
	}
	return strings.Join(found, " and ") + " answer", nil
}

func (s *show) notPromiscuous(ctx context.Context) (string, error) {
	out, err := s.sh(ctx, "ip -d link show")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"mysql", "redis"} {
		inside, err := s.sh(ctx, "nsenter -t $(docker inspect --format '{{.State.Pid}}' "+name+") -n ip -d link show")
		if err != nil {
			return "", err
		}
		out += "\n" + inside
	}
	all := strings.Count(out, "promiscuity ")
	if quiet := strings.Count(out, "promiscuity 0 "); quiet != all || all == 0 || strings.Contains(out, "PROMISC") {
		return "", fmt.Errorf("%d of %d interfaces are not promiscuous: %s", quiet, all, out)
	}
	return fmt.Sprintf("promiscuity is 0 on all of %d interfaces", all), nil
}

func (s *show) keptApart(ctx context.Context) (string, error) {
	g, err := s.give(ctx, "pg", "bond200", 200)
	if err != nil {
		return "", err
	}
	if _, err := s.docker(host)(ctx, "exec", "--privileged", "pg", "ip", "addr", "add", "10.100.0.9/24", "dev", "eth0"); err != nil {
		return "", err
	}
	same, err := s.hears(ctx, "redis", s.web.V4.String())
	other, err2 := s.hears(ctx, "pg", s.web.V4.String())
	own, err3 := s.from(ctx, "peer200", g.V4.String())
	if err := errors.Join(err, err2, err3); err != nil || !same || other || !own {
		return "", errors.Join(err, fmt.Errorf("mysql's neighbour on its VLAN hears it: %t, want true; pg on VLAN 200 hears it: %t, want false; pg answers its own VLAN: %t, want true", same, other, own))
	}
	return fmt.Sprintf("pg, on VLAN 200 by %s, gets no answer from mysql, and redis, on VLAN 100, does", vfNames(g.device)), nil
}

func (s *show) released(ctx context.Context) (string, error) {
	if _, err := s.docker(host)(ctx, "rm", "-f", "mysql", "redis", "pg"); err != nil {
		return "", err
	}
	if err := s.allGone(ctx); err != nil {
		return "", err
	}
	if err := s.unset(ctx); err != nil {
		return "", err
	}
	out, err := s.agent(ctx, "list")
	if n := strings.Count(out, "free"); err == nil && n != 2*cluster.MaxVFs {
		err = fmt.Errorf("%d VFs are free: %s", n, out)
	}
	return "14 of 14 VFs are free, none with a VLAN", err
}

func (s *show) fallsBack(ctx context.Context) (string, error) { return s.exhaust(ctx) }
