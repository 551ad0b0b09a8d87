//go:build linux

package vmdemo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/nic"
)

var running, created = []string{"run", "-d"}, []string{"create"}

// create shows that the NIC of a created container is there before its start.
func (s *show) create(ctx context.Context) (string, error) {
	begin := time.Now()
	if err := s.make(ctx, "vm1", "web", created, "nicferry.network=lab"); err != nil {
		return "", err
	}
	docker := time.Since(begin)
	claim, err := s.plugged(ctx, "web")
	if err != nil {
		return "", err
	}
	took := time.Since(begin)
	where, err := s.inGuest("vm1")(ctx, "sh", "-ec", fmt.Sprintf(
		`for l in /sys/class/net/*; do [ "$(cat $l/address)" != %s ] || basename "$(readlink -f $l/device/..)"; done`, claim.Identity.MAC))
	if where = strings.TrimSpace(where); err != nil || where == "" {
		return "", errors.Join(err, fmt.Errorf("vm1 has no link with MAC %s", claim.Identity.MAC))
	}
	s.Fact("docker create → its NIC is plugged in and found", seconds(took), "")
	return fmt.Sprintf("plugged in before its start, %s after docker create began, which itself took %s:\n"+
		"vm1 sees PCI device %s with MAC %s", seconds(took), seconds(docker), where, claim.Identity.MAC), nil
}

// plugged waits until the node has found the NIC of a container that does not
// run.
func (s *show) plugged(ctx context.Context, container string) (api.ClaimView, error) {
	return s.claimed(ctx, container, "the NIC of "+container+" on its node", func(c api.ClaimView) bool {
		return c.Phase == nic.ClaimReady && c.Observed != nil && c.Observed.State == nic.ObservedMade
	})
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func (s *show) start(ctx context.Context) (string, error) {
	begin := time.Now()
	var docker, took time.Duration
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		_, err := s.docker("vm1")(gctx, "start", "web")
		docker = time.Since(begin)
		return err
	})
	group.Go(func() error {
		_, err := s.isBound(gctx, "web")
		took = time.Since(begin)
		return err
	})
	if err := group.Wait(); err != nil {
		return "", err
	}
	card, err := s.bound(ctx, "vm1", "web")
	if err != nil {
		return "", err
	}
	if err := s.answers(ctx, card.V4); err != nil {
		return "", err
	}
	s.web = card
	s.Fact("docker start → eth0 has its address, by DHCP", seconds(took), "")
	return fmt.Sprintf("eth0 %s by DHCP, MAC %s, %s after docker start began, which itself took %s", card.V4, card.MAC, seconds(took), seconds(docker)), nil
}

// answers waits for an answer to a ping from outside of all guests.
func (s *show) answers(ctx context.Context, addrs ...netip.Addr) error {
	for _, addr := range addrs {
		_, err := story.Until(ctx, "an answer from "+addr.String(), patience, func() (bool, bool, error) {
			ping, err := s.ping(ctx, addr, 100*time.Millisecond, 100*time.Millisecond)
			return true, ping.Received == 1, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fixed measures, on a guest that has run a container before, from the request
// to the first reply to a ping from outside.
func (s *show) fixed(ctx context.Context) (string, error) {
	v4, v6 := netip.MustParseAddr("10.77.1.20"), netip.MustParseAddr("fd77::20")
	begin := time.Now()
	var docker, reply time.Duration
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		err := s.make(gctx, "vm1", "db", running, "nicferry.network=fixed", "nicferry.ip=10.77.1.20,fd77::20")
		docker = time.Since(begin)
		return err
	})
	group.Go(func() error {
		err := s.firstReply(gctx, v4)
		reply = time.Since(begin)
		return err
	})
	if err := group.Wait(); err != nil {
		return "", err
	}
	if err := s.answers(ctx, v6); err != nil {
		return "", err
	}
	s.Fact("docker run → first reply to a ping, warm guest", seconds(reply), "")
	s.Fact("  of which docker run itself", seconds(docker), "")
	return fmt.Sprintf("eth0 %s and %s; first reply to a ping from outside %s after docker run began, which itself took %s",
		v4, v6, seconds(reply), seconds(docker)), nil
}

// firstReply pings until there is a reply.
func (s *show) firstReply(ctx context.Context, addr netip.Addr) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no reply from %s within %s", addr, patience))
	defer cancel()
	cmd := s.lan(ctx, "ping", "-n", "-O", "-i", "0.02", addr.String())
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // it is killed
	}()
	said := make([]byte, 0, 64<<10)
	for chunk := make([]byte, 4096); ; {
		n, err := out.Read(chunk)
		said = append(said, chunk[:n]...)
		if strings.Contains(string(said), " bytes from ") {
			return nil
		}
		if err != nil {
			return errors.Join(context.Cause(ctx), fmt.Errorf("ping %s ended: %w", addr, err))
		}
		said = said[max(0, len(said)-64):] // a sentence may come in two parts
	}
}

// onOther starts two containers on the other guest.
func (s *show) onOther(ctx context.Context) (string, error) {
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.make(gctx, "vm2", "app", running, "nicferry.network=lab") })
	group.Go(func() error {
		return s.make(gctx, "vm2", "cache", running, "nicferry.network=fixed", "nicferry.ip=10.77.1.21,fd77::21")
	})
	if err := group.Wait(); err != nil {
		return "", err
	}
	app, err := s.bound(ctx, "vm2", "app")
	if err != nil {
		return "", err
	}
	cache, err := s.bound(ctx, "vm2", "cache")
	if err != nil {
		return "", err
	}
	s.app = app
	if want := "10.77.1.21"; cache.V4.String() != want {
		return "", fmt.Errorf("cache has %s, want %s", cache.V4, want)
	}
	return fmt.Sprintf("app has %s by DHCP, cache has %s and fd77::21", app.V4, cache.V4), s.answers(ctx, netip.MustParseAddr("fd77::21"))
}

// across pings from container to container on the other guest, and to the
// router, as each container's own ping sees it.
func (s *show) across(ctx context.Context) (string, error) {
	targets := []struct {
		guest, container string
		addrs            []string
	}{
		{"vm1", "web", []string{"10.77.0.1", s.app.V4.String()}},
		{"vm2", "app", []string{"10.77.0.1", s.web.V4.String()}},
		{"vm1", "db", []string{"10.77.1.1", "fd77::1", "10.77.1.21", "fd77::21"}},
		{"vm2", "cache", []string{"10.77.1.1", "fd77::1", "10.77.1.20", "fd77::20"}},
	}
	count := 0
	group, gctx := errgroup.WithContext(ctx)
	for _, t := range targets {
		count += len(t.addrs)
		group.Go(func() error { return s.reaches(gctx, t.guest, t.container, t.addrs...) })
	}
	if err := group.Wait(); err != nil {
		return "", err
	}
	s.Fact("pings across the guests and to the router, IPv4 and IPv6", fmt.Sprintf("%d of %d answered", count, count), "all")
	return fmt.Sprintf("web ↔ app, db ↔ cache, and 10.77.0.1, 10.77.1.1 and fd77::1 from each: all %d answer, IPv4 and IPv6", count), nil
}

// reaches pings from a container, as its own ping sees it.
func (s *show) reaches(ctx context.Context, guest, container string, addrs ...string) error {
	const script = `for a; do ping -c 2 -W 5 "$a" >/tmp/said 2>&1 || { cat /tmp/said; exit 1; }; done`
	out, err := s.docker(guest)(ctx, append([]string{"exec", container, "sh", "-c", script, "sh"}, addrs...)...)
	if err != nil {
		return fmt.Errorf("%s pings %q: %w: %s", container, addrs, err, out)
	}
	return nil
}
