package announce

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/link"
)

// open opens the wire, unless it is open.
func (k *worker) open() error {
	if k.wire != nil {
		return nil
	}
	wire, err := k.o.Open()
	if err != nil {
		return err
	}
	k.wire = wire
	return nil
}

// hangUp closes the wire, if it is open.
func (k *worker) hangUp() {
	if k.wire == nil {
		return
	}
	k.w.mu.Lock()
	k.w.wire = nil
	k.w.mu.Unlock()
	if err := k.wire.Close(); err != nil {
		k.o.Log.Debug("wire not closed cleanly", "error", err)
	}
	k.wire = nil
}

func (k *worker) look() (err error) {
	if err := k.open(); err != nil {
		return err
	}
	if k.sight, err = k.wire.Look(); err != nil {
		return fmt.Errorf("read the NIC's addresses: %w", err)
	}
	k.lookAt = time.Time{}
	return nil
}

// carrier says whether a probe would leave, or has waited long enough.
func (k *worker) carrier(now time.Time) (bool, error) {
	if !k.sight.Running {
		if err := k.look(); err != nil {
			return false, err
		}
	}
	if k.sight.Running {
		k.carrierBy = time.Time{}
		return true, nil
	}
	if k.carrierBy.IsZero() {
		k.carrierBy = now.Add(k.o.Timing.Carrier)
	}
	return !now.Before(k.carrierBy), nil
}

func (k *worker) send(frame []byte, err error) error {
	if err != nil {
		return err
	}
	if err := k.open(); err != nil {
		return err
	}
	return k.wire.Send(frame)
}

// present says whether the address is on the NIC and works.
func (k *worker) present(addr netip.Addr) bool {
	a, ok := k.find(addr)
	return ok && !a.Tentative && !a.Duplicate
}

func (k *worker) find(addr netip.Addr) (link.Addr, bool) {
	at := slices.IndexFunc(k.sight.Addrs, func(a link.Addr) bool { return a.Prefix.Addr() == addr })
	if at < 0 {
		return link.Addr{}, false
	}
	return k.sight.Addrs[at], true
}

// forget makes the worker wait until addr is seen on the NIC anew.
func (k *worker) forget(addr netip.Addr) {
	k.sight.Addrs = slices.DeleteFunc(k.sight.Addrs, func(a link.Addr) bool { return a.Prefix.Addr() == addr })
}
