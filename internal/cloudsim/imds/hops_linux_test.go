package imds_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim/imds"
	"github.com/nicferry/nicferry/internal/metadata"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// cable is a link between two namespaces, with an address at each end.
func cable(t *testing.T, name string, a *netns.Namespace, addrA string, b *netns.Namespace, addrB string) {
	t.Helper()
	peer := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), b.FD())
	netnstest.Run(t, a, "ip", "link", "add", name, "type", "veth", "peer", "name", name, "netns", peer)
	for ns, addr := range map[*netns.Namespace]string{a: addrA, b: addrB} {
		netnstest.Run(t, ns, "ip", "addr", "add", addr, "dev", name)
		netnstest.Run(t, ns, "ip", "link", "set", name, "up")
	}
}

// long is more than an answer takes on a busy machine, and short is enough to see that there is none.
const long, short = 30 * time.Second, time.Second

// identity asks for it from within a namespace.
func identity(t *testing.T, ns *netns.Namespace, cloud metadata.Dialect, patience time.Duration) error {
	t.Helper()
	c, err := metadata.New(metadata.Options{
		Dialect: cloud, Log: slog.New(slog.DiscardHandler), Patience: patience,
		Dial: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			err = ns.Do(func() (err error) { conn, err = new(net.Dialer).DialContext(ctx, network, address); return err })
			return conn, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Identity(t.Context())
	return err
}

// The service is one hop from the instance. With a hop limit of 1 it answers
// the instance itself, and no container behind the instance's router. With 2 it
// answers those too, but one with a blackhole.
func TestHopLimit(t *testing.T) {
	t.Parallel()
	for limit, patience := range map[int]time.Duration{1: short, 2: long} {
		reached := limit > 1
		cloud, instance, container := netnstest.New(t), netnstest.New(t), netnstest.New(t)
		cable(t, "up0", cloud, "169.254.169.254/16", instance, "169.254.1.1/16")
		cable(t, "down0", instance, "10.1.0.1/24", container, "10.1.0.2/24")
		netnstest.Run(t, cloud, "ip", "route", "add", "10.1.0.0/24", "via", "169.254.1.1")
		netnstest.Run(t, container, "ip", "route", "add", "default", "via", "10.1.0.1")
		netnstest.Run(t, instance, "sysctl", "-qw", "net.ipv4.ip_forward=1")
		service := imds.New(imds.Options{Source: newGuests(), HopLimit: limit})
		var l *imds.Listener
		if err := cloud.Do(func() (err error) { l, err = service.Listen(t.Context(), one, "169.254.169.254:80"); return err }); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		if err := identity(t, instance, metadata.EC2(), long); err != nil {
			t.Errorf("limit %d, the instance: %v", limit, err)
		}
		switch err := identity(t, container, metadata.EC2(), patience); {
		case reached && err != nil:
			t.Errorf("limit %d, a container: %v", limit, err)
		case !reached && !errors.Is(err, metadata.ErrNone):
			t.Errorf("limit %d, a container: %v; want silence", limit, err)
		}
		netnstest.Run(t, container, "ip", "route", "add", "blackhole", "169.254.169.254")
		if err := identity(t, container, metadata.EC2(), long); !errors.Is(err, metadata.ErrNone) {
			t.Errorf("limit %d, a container with a blackhole: %v", limit, err)
		}
	}
}

// ECS has no such limit: whoever the instance's router lets out is answered, but one
// with a blackhole, and a host that lets nobody through to that address.
func TestNoHopLimitInECS(t *testing.T) {
	t.Parallel()
	cloud, instance, container := netnstest.New(t), netnstest.New(t), netnstest.New(t)
	cable(t, "up0", cloud, "100.100.100.200/24", instance, "100.100.100.1/24")
	cable(t, "down0", instance, "10.1.0.1/24", container, "10.1.0.2/24")
	netnstest.Run(t, cloud, "ip", "route", "add", "10.1.0.0/24", "via", "100.100.100.1")
	netnstest.Run(t, container, "ip", "route", "add", "default", "via", "10.1.0.1")
	netnstest.Run(t, instance, "sysctl", "-qw", "net.ipv4.ip_forward=1")
	service := imds.New(imds.Options{Source: newGuests(), Dialect: imds.ECS()})
	var l *imds.Listener
	if err := cloud.Do(func() (err error) { l, err = service.Listen(t.Context(), one, "100.100.100.200:80"); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for who, ns := range map[string]*netns.Namespace{"the instance": instance, "a container": container} {
		if err := identity(t, ns, metadata.ECS(), long); err != nil {
			t.Errorf("%s: %v", who, err)
		}
	}
	netnstest.Run(t, container, "ip", "route", "add", "blackhole", "100.100.100.200")
	if err := identity(t, container, metadata.ECS(), long); !errors.Is(err, metadata.ErrNone) {
		t.Errorf("a container with a blackhole: %v", err)
	}
}
