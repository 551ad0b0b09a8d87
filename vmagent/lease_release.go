package vmagent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/dhcp"
	"github.com/nicferry/nicferry/vmagent/dhcp6"
	"github.com/nicferry/nicferry/vmagent/ferry"
)

// How often, and how far apart, a DHCPv4 lease is released for a container that
// is gone.
const (
	releases   = 3
	releaseGap = 30 * time.Millisecond
)

// carrierDeadline bounds the wait for a link that was brought up to carry.
const carrierDeadline = 2 * time.Second

// releaseDeadline bounds all that is done to give the leases of one NIC back.
const releaseDeadline = 10 * time.Second

// owed are the leases that a NIC's earlier container has left behind.
type owed struct{ v4, v6 bool }

// releaseLeases gives leases back whose container is gone already. The NIC is
// brought up for that in a namespace of its own, never in the host's, where it
// could pick up an address. A server that misses the message waits for the
// expiry, so trouble here is told and not more.
func (a *Agent) releaseLeases(ctx context.Context, w nic.Wanted) {
	lease, err := a.cache.lease(w.NIC)
	lease6, err6 := a.cache.lease6(w.NIC)
	err = errors.Join(err, err6)
	now := time.Now()
	if left := (owed{v4: lease.Usable(now), v6: lease6.Usable(now)}); left != (owed{}) {
		ctx, cancel := context.WithTimeout(ctx, releaseDeadline)
		defer cancel()
		err = errors.Join(err, a.releaseFrom(ctx, w, left))
	}
	if err != nil {
		a.opts.Log.Warn("lease not given back, it will run out by itself", "nic", w.NIC, "claim", w.Claim, "err", err)
	}
}

func (a *Agent) releaseFrom(ctx context.Context, w nic.Wanted, left owed) error {
	// A veth or macvlan that died with its container is made once more: its MAC
	// is what the server knows. Hardware comes home, or is gone for good.
	if err := a.maker.Ensure(ctx, w.NIC, w.Device); err != nil {
		return err
	}
	if _, found, err := a.maker.Locate(ctx, w.NIC, w.Device); err != nil || !found {
		return err
	}
	ns, err := netns.New()
	if err != nil {
		return fmt.Errorf("make a namespace to release the lease from: %w", err)
	}
	defer ns.Close()
	if left.v6 {
		// The address that the NIC speaks from was its container's until now:
		// to look for another holder would take a second.
		if err := ns.SetSysctl("0", "ipv6", "conf", "default", "accept_dad"); err != nil {
			return fmt.Errorf("prepare to release a DHCPv6 lease: %w", err)
		}
	}
	at, err := a.ferry.In(ctx, w.NIC, w.Device, ns, ferry.Entry{Name: "eth0", IPv6: left.v6})
	if err != nil {
		return err
	}
	err = awaitRunning(ctx, ns, at.Index)
	if err == nil && left.v4 {
		err = a.releaseV4(ctx, ns, at.Index, w)
	}
	if left.v6 {
		err = errors.Join(err, dhcp6.Release(ctx, a.lease6Options(ns, at.Index, w)))
	}
	return errors.Join(err, a.ferry.Out(context.WithoutCancel(ctx), w.NIC, w.Device, ns))
}

// releaseV4 says it more than once: no server answers a release, and the switch
// may still be deaf to a port that has just come up.
func (a *Agent) releaseV4(ctx context.Context, ns *netns.Namespace, index int, w nic.Wanted) error {
	for range releases {
		if err := dhcp.Release(a.leaseOptions(ns, index, w)); err != nil {
			return err
		}
		if err := retry.Sleep(ctx, releaseGap); err != nil {
			return err
		}
	}
	return nil
}

// awaitRunning waits until the kernel has taken note of the link's carrier.
func awaitRunning(ctx context.Context, ns *netns.Namespace, index int) error {
	h, err := link.Open(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	ctx, cancel := context.WithTimeout(ctx, carrierDeadline)
	defer cancel()
	for {
		l, err := h.ByIndex(index)
		if err != nil || l.Running {
			return err
		}
		if err := retry.Sleep(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("wait for the carrier of %q: %w", l.Name, err)
		}
	}
}
