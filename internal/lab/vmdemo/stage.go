//go:build linux

package vmdemo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/hyper"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/internal/lab/vendors"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// A show is one run and what it holds open.
type show struct {
	*story.Story
	dir     string
	vendor  *vendors.Vendor // of the cloud that the guests are instances of; nil is none
	ofMetal bool
	// platform: the lab is also the cloud's owner's; see cluster.Cloud.
	platform bool

	lab    *cluster.Cluster
	before lab.Snapshot
	// strangers are the NICs of the guests that are not ours.
	strangers map[string]string
	// What the containers web and app have as their eth0.
	web, app story.Card
	// How vm1 is with no NIC of ours, and with all its slots taken.
	empty, full state
}

// guests are the lab's virtual machines.
var guests = [...]string{"vm1", "vm2"}

// guests are those of this run: a physical host is played by one.
func (s *show) guests() []string {
	if s.ofMetal {
		return guests[:1]
	}
	return guests[:]
}

func (s *show) bringUp(ctx context.Context) (string, error) {
	begin := time.Now()
	var err error
	places := ports
	if s.platform {
		places = mostNICs
	}
	s.lab, err = cluster.Up(ctx, cluster.Options{
		Dir: s.dir, Bin: s.Bin, Nodes: len(s.guests()), Ports: places, MemoryMiB: guestMiB, Out: indented{s.Progress},
		Cloud: s.cloud(), Metal: s.metal(),
	})
	if errors.Is(err, hyper.ErrRuns) {
		s.dir = "" // it is not ours to take down
		return "", err
	}
	if err == nil {
		// libvirt tells a few words of a domain only until it is restarted, such as
		// the alias of a controller that is none. A scene restarts it.
		err = s.lab.Host().Restart(ctx)
	}
	if err == nil {
		s.empty, err = s.state(ctx, guests[0])
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("up after %.1f s, on a libvirtd, a switch and a network of the lab's own", time.Since(begin).Seconds()), nil
}

// indented sets lines below the one that they belong to.
type indented struct{ to io.Writer }

func (i indented) Write(line []byte) (int, error) {
	if i.to == nil {
		return len(line), nil
	}
	if _, err := fmt.Fprintf(i.to, "          · %s", bytes.TrimLeft(line, " ")); err != nil {
		return 0, err
	}
	return len(line), nil
}

// takeDown ends everything. It may be called where the lab is not up.
func (s *show) takeDown(ctx context.Context) (string, error) {
	if s.dir == "" {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, downTime)
	defer cancel()
	var err error
	if s.lab != nil {
		err = s.lab.Close()
		s.lab = nil
	}
	return "libvirtd, the virtual machines, their network and their files are gone", errors.Join(err, cluster.Down(ctx, s.dir))
}

// docker runs Docker's CLI in a guest, within a deadline.
func (s *show) docker(guest string) story.CLI {
	return func(ctx context.Context, args ...string) (string, error) {
		node, err := s.lab.Node(guest)
		if err != nil {
			return "", err
		}
		ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("docker %s has taken %s", args[0], patience))
		defer cancel()
		return node.Docker(ctx, args...)
	}
}

// make makes a container of the lab's image; verb is docker's.
func (s *show) make(ctx context.Context, guest, name string, verb []string, labels ...string) error {
	_, err := s.docker(guest)(ctx, story.Create(lab.ImageName, name, labels, verb...)...)
	return err
}

// lan prepares a program to run outside of all guests: beside the router, or on VLAN 100.
func (s *show) lan(ctx context.Context, name string, args ...string) *exec.Cmd {
	where := cluster.LAN
	if s.ofMetal {
		where = peer100
	}
	return s.lab.Host().Command(ctx, "ip", append([]string{"netns", "exec", where, name}, args...)...)
}

// lateReply is how long a guest that shares its processor may take to answer.
const lateReply = 5 * time.Second

func (s *show) ping(ctx context.Context, addr netip.Addr, every, duration time.Duration) (lab.PingResult, error) {
	return lab.PingFrom(ctx, s.lan, addr, every, duration, lateReply)
}

// askEvery leaves the processors to the guests.
const askEvery = 50 * time.Millisecond

// claimed waits until the claim of the container is as wanted.
func (s *show) claimed(ctx context.Context, container, what string, wanted func(api.ClaimView) bool) (api.ClaimView, error) {
	return story.Until(ctx, what, patience, func() (api.ClaimView, bool, error) {
		claim, err := story.Claim(ctx, s.lab.CLI, container)
		if err == nil && wanted(claim) {
			return claim, true, nil
		}
		if err == nil {
			err = fmt.Errorf("the claim of %s is %s: %v", container, claim.Phase, claim.Conditions)
		}
		return claim, false, errors.Join(err, retry.Sleep(ctx, askEvery))
	})
}

// bound waits until the container has its NIC, configured, and looks at it from
// inside.
func (s *show) bound(ctx context.Context, guest, container string) (story.Card, error) {
	if _, err := s.isBound(ctx, container); err != nil {
		return story.Card{}, err
	}
	return story.Look(ctx, s.docker(guest), container)
}

func (s *show) isBound(ctx context.Context, container string) (api.ClaimView, error) {
	return s.claimed(ctx, container, "eth0 of "+container, func(c api.ClaimView) bool { return c.Phase == nic.ClaimBound })
}

// names lists what the controller has of a kind.
func (s *show) names(ctx context.Context, kind string) ([]string, error) {
	out, err := s.lab.CLI(ctx, "get", kind, "-o", "name")
	return strings.Fields(out), err
}

// inGuest is the lab.Runner of a guest.
func (s *show) inGuest(guest string) lab.Runner {
	return func(ctx context.Context, name string, args ...string) (string, error) {
		node, err := s.lab.Node(guest)
		if err != nil {
			return "", err
		}
		out, err := node.Command(ctx, append([]string{name}, args...)...).Output()
		return string(out), err
	}
}
