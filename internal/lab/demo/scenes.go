//go:build linux

package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/nic"
)

// patience bounds the wait for anything that takes well under a second.
const patience = 20 * time.Second

func (s *story) startDaemons(ctx context.Context) (string, error) {
	if err := errors.Join(s.startController(), s.startAgent()); err != nil {
		return "", err
	}
	return until(ctx, "the node to be ready", patience, func() (string, bool, error) {
		out, err := s.cli(ctx, "get", "nodes", "-o", "name")
		return "node " + strings.TrimSpace(out) + " is ready", err == nil && strings.TrimSpace(out) != "", err
	})
}

// run starts a container without a Docker network and with the labels.
func (s *story) run(ctx context.Context, name string, labels ...string) error {
	args := []string{"run", "-d", "--init", "--network", "none", "--name", name}
	for _, l := range labels {
		args = append(args, "--label", l)
	}
	_, err := s.docker(ctx, append(args, s.image)...)
	return err
}

func (s *story) byDHCP(ctx context.Context) (string, error) {
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
	if err != nil || len(leases) != 1 || leases[0].Addr != card.v4 {
		return "", errors.Join(err, fmt.Errorf("dnsmasq has leases %v; want one of %s", leases, card.v4))
	}
	return fmt.Sprintf("eth0 %s by DHCP, MAC %s; it pings its gateway %s", card.v4, card.mac, gateway), nil
}

func (s *story) byLabel(ctx context.Context) (string, error) {
	if err := s.run(ctx, "db", "nicferry.network=fixed", "nicferry.ip=10.77.1.20,fd77::20"); err != nil {
		return "", err
	}
	card, err := s.card(ctx, "db")
	if err != nil {
		return "", err
	}
	if card.v4.String() != "10.77.1.20" {
		return "", fmt.Errorf("got %s, want 10.77.1.20", card.v4)
	}
	for _, addr := range []string{"10.77.1.20", "fd77::20"} {
		_, err := until(ctx, "an answer from "+addr, patience, func() (bool, bool, error) {
			ping, err := s.lan.Ping(ctx, netip.MustParseAddr(addr), 100*time.Millisecond, 100*time.Millisecond)
			return true, ping.Received == 1, err
		})
		if err != nil {
			return "", err
		}
	}
	return "eth0 10.77.1.20 and fd77::20; both answer a ping from the LAN", nil
}

func (s *story) refused(ctx context.Context) (string, error) {
	if err := s.run(ctx, "thief", "nicferry.network=fixed", "nicferry.ip=10.77.1.20"); err != nil {
		return "", err
	}
	claim, err := until(ctx, "the claim to be refused", patience, func() (nic.Claim, bool, error) {
		claim, err := s.claim(ctx, "thief")
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

func (s *story) restart(ctx context.Context) (string, error) {
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
		return "", fmt.Errorf("before %s with %s, after %s with %s", before.v4, before.mac, after.v4, after.mac)
	}
	return fmt.Sprintf("eth0 is back with the same MAC %s and the same address %s", after.mac, after.v4), nil
}

func (s *story) killAgent(ctx context.Context) (string, error) {
	return s.underPing(ctx, "agent", s.agent, s.startAgent)
}

func (s *story) killController(ctx context.Context) (string, error) {
	return s.underPing(ctx, "controller", s.controller, s.startController)
}

// The ping that runs while a daemon dies and comes back.
const (
	pingEvery = 10 * time.Millisecond
	pingFor   = 5 * time.Second
)

// underPing kills a daemon a second into a ping of both containers, and starts
// it again a second later.
func (s *story) underPing(ctx context.Context, name string, victim *lab.Process, start func() error) (string, error) {
	web, err := s.card(ctx, "web")
	if err != nil {
		return "", err
	}
	type answer struct {
		ping lab.PingResult
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		ping, err := s.lan.Ping(ctx, web.v4, pingEvery, pingFor)
		answers <- answer{ping, err}
	}()
	time.Sleep(time.Second)
	err = victim.Kill(ctx)
	time.Sleep(time.Second)
	err = errors.Join(err, start())
	got := <-answers
	if err := errors.Join(err, got.err); err != nil {
		return "", err
	}
	s.figures.Pings[name] = got.ping
	// A ping that sends too rarely would miss a short silence. On a busy machine
	// it is somewhat late each time.
	enough := int(0.5 * float64(got.ping.Duration) / float64(pingEvery))
	if got.ping.Lost != 0 || got.ping.Sent < enough {
		return "", fmt.Errorf("%s; want none lost of at least %d", got.ping, enough)
	}
	if _, err := s.claim(ctx, "web"); err != nil {
		return "", err // the one that was started again must serve
	}
	return got.ping.String(), nil
}

func (s *story) remove(ctx context.Context) (string, error) {
	if _, err := s.docker(ctx, "rm", "-f", "web", "db", "thief"); err != nil {
		return "", err
	}
	_, err := until(ctx, "all claims and NICs to be gone", patience, func() (bool, bool, error) {
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
	_, err = until(ctx, "the lease to be given back", patience, func() (bool, bool, error) {
		leases, err := s.lan.Leases()
		return true, err == nil && len(leases) == 0, err
	})
	return "the NICs, their claims and addresses, the bridge and the lease are gone", err
}

func (s *story) stopDaemons(ctx context.Context) (string, error) {
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

// claim is the one of a container.
func (s *story) claim(ctx context.Context, container string) (nic.Claim, error) {
	out, err := s.cli(ctx, "get", "claims", "-o", "json")
	if err != nil {
		return nic.Claim{}, err
	}
	var list api.List[api.ClaimView]
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nic.Claim{}, err
	}
	for _, c := range list.Items {
		if c.Container == container {
			return c.Claim, nil
		}
	}
	return nic.Claim{}, fmt.Errorf("no claim of container %s", container)
}

// A card is what a container has as its eth0.
type card struct {
	mac string
	v4  netip.Addr
}

// card waits until the container has an eth0 with an IPv4 address, as its own
// tools see it.
func (s *story) card(ctx context.Context, container string) (card, error) {
	return until(ctx, "eth0 of "+container, patience, func() (card, bool, error) {
		out, err := s.docker(ctx, "exec", container, "ip", "-o", "addr", "show", "dev", "eth0")
		if err != nil {
			return card{}, false, err
		}
		mac, err := s.docker(ctx, "exec", container, "cat", "/sys/class/net/eth0/address")
		if err != nil {
			return card{}, false, err
		}
		for line := range strings.Lines(out) {
			fields := strings.Fields(line)
			if len(fields) > 3 && fields[2] == "inet" {
				prefix, err := netip.ParsePrefix(fields[3])
				return card{mac, prefix.Addr()}, err == nil, err
			}
		}
		return card{}, false, errors.New("eth0 has no IPv4 address yet")
	})
}
