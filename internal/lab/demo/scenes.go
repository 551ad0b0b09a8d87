//go:build linux

package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/promise"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/nic"
)

// patience bounds the wait for anything that takes well under a second.
const patience = 20 * time.Second

func (s *show) startDaemons(ctx context.Context) (string, error) {
	if err := errors.Join(s.startController(), s.startAgent()); err != nil {
		return "", err
	}
	return story.Until(ctx, "the node to be ready", patience, func() (string, bool, error) {
		out, err := s.cli(ctx, "get", "nodes", "-o", "name")
		return "node " + strings.TrimSpace(out) + " is ready", err == nil && strings.TrimSpace(out) != "", err
	})
}

// run starts a container without a Docker network and with the labels.
func (s *show) run(ctx context.Context, name string, labels ...string) error {
	_, err := s.docker(ctx, story.Create(s.image, name, labels, "run", "-d")...)
	return err
}

func (s *show) byDHCP(ctx context.Context) (string, error) {
	if err := s.run(ctx, "web", "nicferry.network=lab"); err != nil {
		return "", err
	}
	card, err := s.card(ctx, "web")
	if err != nil {
		return "", err
	}
	gateway := s.lan.Gateway().String()
	if _, err := s.docker(ctx, "exec", "web", "ping", "-c", "2", "-i", "0.2", "-W", "1", gateway); err != nil {
		return "", err
	}
	leases, err := s.lan.Leases()
	if err != nil || len(leases) != 1 || leases[0].Addr != card.V4 {
		return "", errors.Join(err, fmt.Errorf("dnsmasq has leases %v; want one of %s", leases, card.V4))
	}
	return fmt.Sprintf("eth0 %s by DHCP, MAC %s; it pings its gateway %s", card.V4, card.MAC, gateway), nil
}

func (s *show) byLabel(ctx context.Context) (string, error) {
	if err := s.run(ctx, "db", "nicferry.network=fixed", "nicferry.ip=10.77.1.20,fd77::20"); err != nil {
		return "", err
	}
	card, err := s.card(ctx, "db")
	if err != nil {
		return "", err
	}
	if card.V4.String() != "10.77.1.20" {
		return "", fmt.Errorf("got %s, want 10.77.1.20", card.V4)
	}
	for _, addr := range []string{"10.77.1.20", "fd77::20"} {
		_, err := story.Until(ctx, "an answer from "+addr, patience, func() (bool, bool, error) {
			ping, err := s.lan.Ping(ctx, netip.MustParseAddr(addr), 100*time.Millisecond, 100*time.Millisecond)
			return true, ping.Received == 1, err
		})
		if err != nil {
			return "", err
		}
	}
	return "eth0 10.77.1.20 and fd77::20; both answer a ping from the LAN", nil
}

func (s *show) refused(ctx context.Context) (string, error) {
	if err := s.run(ctx, "thief", "nicferry.network=fixed", "nicferry.ip=10.77.1.20"); err != nil {
		return "", err
	}
	claim, err := story.Until(ctx, "the claim to be refused", patience, func() (api.ClaimView, bool, error) {
		claim, err := story.Claim(ctx, s.cli, "thief")
		return claim, claim.Phase == nic.ClaimRefused && len(claim.Conditions) > 0, err
	})
	if err != nil {
		return "", err
	}
	links, err := s.docker(ctx, "exec", "thief", "ls", "/sys/class/net")
	if err != nil || links != "lo" {
		return "", errors.Join(err, fmt.Errorf("the refused container has interfaces %q, want lo alone", links))
	}
	why := claim.Conditions[0]
	if why.Reason != nic.ReasonAddressTaken {
		return "", fmt.Errorf("refused with %s: %s; want AddressTaken", why.Reason, why.Message)
	}
	return fmt.Sprintf("refused: %s: %s", why.Reason, why.Message), nil
}

func (s *show) restart(ctx context.Context) (string, error) {
	before, err := s.card(ctx, "web")
	if err != nil {
		return "", err
	}
	if _, err := s.docker(ctx, "restart", "-t", "1", "web"); err != nil {
		return "", err
	}
	after, err := s.card(ctx, "web")
	if err != nil {
		return "", err
	}
	if before != after {
		return "", fmt.Errorf("before %s with %s, after %s with %s", before.V4, before.MAC, after.V4, after.MAC)
	}
	return fmt.Sprintf("eth0 is back with the same MAC %s and the same address %s", after.MAC, after.V4), nil
}

func (s *show) killAgent(ctx context.Context) (string, error) {
	return s.underPing(ctx, "agent", s.agent, s.startAgent)
}

func (s *show) killController(ctx context.Context) (string, error) {
	return s.underPing(ctx, "controller", s.controller, s.startController)
}

// underPing kills a daemon and starts it again while web is pinged.
func (s *show) underPing(ctx context.Context, name string, victim *lab.Process, start func() error) (string, error) {
	web, err := s.card(ctx, "web")
	if err != nil {
		return "", err
	}
	ping, err := s.UnderPing(ctx, story.Death{
		Victim: name,
		Ping: func(ctx context.Context, every, duration time.Duration) (lab.PingResult, error) {
			return s.lan.Ping(ctx, web.V4, every, duration)
		},
		Kill:  victim.Kill,
		Start: func(context.Context) error { return start() },
	})
	if err != nil {
		return "", err
	}
	_, err = story.Claim(ctx, s.cli, "web") // the one that was started again must serve
	return ping.String(), err
}

// promises demands that what must always hold does.
func (s *show) promises(ctx context.Context) error {
	return promise.Await(ctx, promise.Options{Node: s.node, Config: s.file("nicferryd.yaml")}, patience)
}

func (s *show) remove(ctx context.Context) (string, error) {
	if err := s.promises(ctx); err != nil {
		return "", err
	}
	if _, err := s.docker(ctx, "rm", "-f", "web", "db", "thief"); err != nil {
		return "", err
	}
	_, err := story.Until(ctx, "all claims and NICs to be gone", patience, func() (bool, bool, error) {
		out, err := s.cli(ctx, "get", "nics", "-o", "name")
		more, err2 := s.cli(ctx, "get", "claims", "-o", "name")
		return true, err == nil && err2 == nil && strings.TrimSpace(out+more) == "", errors.Join(err, err2)
	})
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(s.node.Root() + "/sys/class/net/nf-lab"); err == nil {
		return "", errors.New("the bridge nf-lab is still there")
	}
	_, err = story.Until(ctx, "the lease to be given back", patience, func() (bool, bool, error) {
		leases, err := s.lan.Leases()
		return true, err == nil && len(leases) == 0, err
	})
	return "the NICs, their claims and addresses, the bridge and the lease are gone", err
}

func (s *show) stopDaemons(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, p := range []*lab.Process{s.agent, s.controller} {
		if err := p.Signal(syscall.SIGTERM); err != nil {
			return "", err
		}
		if err := p.Wait(ctx); err != nil {
			return "", err
		}
	}
	return "both ended by themselves", nil
}

// card waits until the container has an eth0 with an IPv4 address.
func (s *show) card(ctx context.Context, container string) (story.Card, error) {
	return story.Until(ctx, "eth0 of "+container, patience, func() (story.Card, bool, error) {
		card, err := story.Look(ctx, s.docker, container)
		return card, err == nil, err
	})
}
