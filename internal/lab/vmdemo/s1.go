//go:build linux

package vmdemo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/internal/lab/vendors"
)

// bigType is an instance type with room for mostNICs and its own.
const (
	bigType  = "ecs.ebmg7.32xlarge"
	mostNICs = 63
)

// linesOfCloud are the checklist of S1. What a line makes the later ones use.
func (s *show) linesOfCloud() []line {
	const run = "docker run -itd --net none --label nicferry.network="
	return []line{
		{"S1-1", "a VM has as many NICs as its instance type takes", "nicferry plan vpc --type " + bigType + "; docker create … nine times seven NICs; virsh domiflist vm1", s.many},
		{"S1-2", "where a container is placed its NIC is made on the vSwitch of that VM, and plugged into the running VM", run + "vpc … web; nicferry get nics -o wide; virsh domiflist vm1", s.placed},
		{"S1-3", "the container has no network of Docker's", run + "vpc … web", s.noNetworkOfDocker},
		{"S1-4", "its namespace is found by its process", "readlink /proc/PID/ns/net; ls /var/run/netns", s.itsNamespace},
		{"S1-5", "the NIC is moved in, renamed eth0 and up, with the cloud's address, or one by DHCP", "docker exec web ip addr show dev eth0; " + run + "lab … dhcp", s.movedIn},
		{"S1-6", "the VM does not show the NIC any more, and the container does", "ip link; docker exec web ip link", s.onlyInside},
		{"S1-7", "the vSwitch's rules hold for each NIC", "nicferry-lab ecs DescribeNetworkInterfaces NetworkInterfaceId.1=…", s.grouped},
		{"S1-8", "a client outside reaches a HaVip", run + "floating --cap-add NET_ADMIN … vip; nicferry-lab ecs DescribeHaVips; docker exec vip arping -U …; ping from outside", s.floats},
		{"S1-9", "a container has what its VPC has: an EIP", run + "public … app; ping EIP from outside", s.public},
		{"S1-10", "one container has NICs of two VPCs, and the VPCs are peers", run + "vpc --label nicferry.nic.eth1=network=other … two", s.twoVPCs},
		{"S1-11", "containers are kept apart, and the platform's own network sees none of their frames", "docker exec far arping -I eth0 …; bridge fdb show br " + cluster.ManagementBridge, s.apart},
		{"S1-12", "a container moves with its NIC, MAC and address from one VM to another", "nicferry migrate web --to vm2 --layer copy, under ping -i 0.01", s.movesOver},
		{"S1-13", "unplugging frees what a NIC takes, while the VM runs", "docker rm -f dhcp vip app two far; cat /proc/interrupts; ls /sys/bus/pci/devices", s.frees},
		{"S1-14", "a DPDK program in a container drives a virtio NIC", "docker run … --device /dev/vfio/GROUP … dpdk-testpmd; ping from the LAN", s.drives},
		{"S1-15", "so many servers and clients measure it", fmt.Sprintf("sockperf server --port 123NN; sockperf tp -i IP --pps max --port 123NN -t %s, NN to %02d", trafficTime, streams), s.measures},
	}
}

// ecs calls the cloud as a person would, and reads the answer.
func (s *show) ecs(ctx context.Context, answer any, action string, pairs ...string) error {
	about, err := s.lab.AboutCloud(ctx)
	if err != nil {
		return err
	}
	args := append(s.vendor.Keys(about), "ECS_ENDPOINT="+about.Endpoint, "ALIBABA_CLOUD_REGION_ID="+about.Region,
		filepath.Join(s.Bin, "nicferry-lab"), "ecs", action)
	out, err := s.lab.Host().Run(ctx, "env", append(args, pairs...)...)
	if err == nil && answer != nil {
		err = json.Unmarshal([]byte(out), answer)
	}
	return err
}

// virshLists says whether libvirt lists a card with the MAC in a running guest.
func (s *show) virshLists(ctx context.Context, guest, mac string) (bool, error) {
	out, err := s.lab.Host().Run(ctx, "virsh", s.virsh([]string{"domiflist", guest})...)
	return strings.Contains(out, mac), err
}

// placed starts web, and looks for its NIC with the eyes of the cloud and of libvirt.
func (s *show) placed(ctx context.Context) (string, error) {
	card, took, cost, err := s.begin(ctx, "vm1", "web", "vpc", "run", "-itd")
	if err != nil {
		return "", err
	}
	s.web = card
	listed, err := s.virshLists(ctx, "vm1", card.MAC)
	if err != nil || !listed || cost.changes[vendors.Create] != 1 || cost.changes[vendors.Attach] != 1 {
		return "", errors.Join(err, fmt.Errorf("libvirt lists %s in vm1: %t, want true; the cloud has done %s", card.MAC, listed, counted(cost.changes)))
	}
	return fmt.Sprintf("%s in vm1's vSwitch; vm1 has %s after %s, and eth0 %s", counted(cost.changes), card.MAC, seconds(took), card.V4), nil
}

func (s *show) noNetworkOfDocker(ctx context.Context) (string, error) {
	out, err := s.docker(host)(ctx, "inspect", "--format", "{{.HostConfig.NetworkMode}}, {{.State.Status}}, {{.Config.Tty}} {{.Config.OpenStdin}}", "web")
	if err == nil && out != "none, running, true true" {
		err = errors.New(out)
	}
	return "network mode none, running, with a terminal that is open", err
}

// pid is a script's word for a container's first process.
func pid(container string) string {
	return "$(docker inspect --format '{{.State.Pid}}' " + container + ")"
}

func (s *show) itsNamespace(ctx context.Context) (string, error) {
	out, err := s.sh(ctx, "p="+pid("web")+"; echo $p $(readlink /proc/$p/ns/net); ls /var/run/netns 2>/dev/null || true")
	fields := strings.Fields(out)
	if err != nil || len(fields) != 2 || !strings.HasPrefix(fields[1], "net:") {
		return "", errors.Join(err, fmt.Errorf("it says %q", out))
	}
	return fmt.Sprintf("process %s has %s; the agent opens that itself, and leaves no name in /var/run/netns", fields[0], fields[1]), nil
}

// movedIn looks at web's eth0, and starts one whose address a DHCP server gives.
func (s *show) movedIn(ctx context.Context) (string, error) {
	out, err := s.docker(host)(ctx, "exec", "web", "ip", "-o", "addr", "show", "dev", "eth0", "scope", "global")
	link, err2 := s.docker(host)(ctx, "exec", "web", "ip", "-o", "link", "show", "dev", "eth0")
	if err := errors.Join(err, err2); err != nil || !strings.Contains(link, s.web.MAC) || !strings.Contains(link, ",UP") || !strings.Contains(out, s.web.V4.String()) {
		return "", errors.Join(err, fmt.Errorf("eth0 is %q with %q", link, out))
	}
	if err := s.make(ctx, host, "dhcp", []string{"run", "-itd"}, "nicferry.network=lab"); err != nil {
		return "", err
	}
	dhcp, err := s.bound(ctx, host, "dhcp")
	if err != nil {
		return "", err
	}
	leases, err := s.lab.Host().Run(ctx, "cat", filepath.Join(s.dir, "leases"))
	if err == nil && !strings.Contains(leases, dhcp.MAC) {
		err = fmt.Errorf("the DHCP server has given %q", leases)
	}
	return fmt.Sprintf("web's eth0 has %s by the cloud's word, dhcp's %s by a DHCP server's lease", s.web.V4, dhcp.V4), err
}

func (s *show) onlyInside(ctx context.Context) (string, error) {
	outside, err := s.sh(ctx, "ip -o link")
	inside, err2 := s.docker(host)(ctx, "exec", "web", "ip", "-o", "link")
	if err := errors.Join(err, err2); err != nil {
		return "", err
	}
	if strings.Contains(outside, s.web.MAC) || !strings.Contains(inside, s.web.MAC) {
		return "", fmt.Errorf("vm1 has %q, web has %q", outside, inside)
	}
	return fmt.Sprintf("of vm1's %d interfaces none has %s, and web's eth0 has it", strings.Count(outside, "\n"), s.web.MAC), nil
}

// movesOver takes web to the other guest of the same host. The first container of an
// emulated guest takes longer to start than a move waits for, so that is another.
func (s *show) movesOver(ctx context.Context) (string, error) {
	if _, err := s.docker("vm2")(ctx, "run", "--rm", "--network", "none", lab.ImageName, "true"); err != nil {
		return "", err
	}
	return s.carried(ctx, "vm1", "vm2")
}

// both waits for both interfaces of a container, and returns their addresses.
func (s *show) both(ctx context.Context, container string) (first, second story.Card, err error) {
	cards, err := story.Until(ctx, "two interfaces of "+container, patience, func() ([]story.Card, bool, error) {
		var cards []story.Card
		for _, name := range []string{"eth0", "eth1"} {
			card, err := story.LookAt(ctx, s.docker(host), container, name)
			if err != nil {
				return nil, false, err
			}
			cards = append(cards, card)
		}
		return cards, true, nil
	})
	if err != nil {
		return first, second, err
	}
	return cards[0], cards[1], nil
}

// start starts a container on vm1 in a network, and waits for its eth0.
func (s *show) startIn(ctx context.Context, name, network string, more ...string) (story.Card, error) {
	if err := s.make(ctx, host, name, []string{"run", "-itd"}, slices.Concat([]string{"nicferry.network=" + network}, more)...); err != nil {
		return story.Card{}, err
	}
	return s.bound(ctx, host, name)
}

// outside prepares a program to run where the cloud's clients are.
func (s *show) outside(ctx context.Context, args ...string) (string, error) {
	return s.lab.Host().Run(ctx, "ip", append([]string{"netns", "exec", cluster.Outside}, args...)...)
}

// reachable waits until an address answers from outside.
func (s *show) reachable(ctx context.Context, addr string) error {
	return lab.Until(ctx, "an answer from "+addr+" outside", goTime, askEvery, func(ctx context.Context) error {
		_, err := s.outside(ctx, "ping", "-c", "1", "-W", "2", addr)
		return err
	})
}
