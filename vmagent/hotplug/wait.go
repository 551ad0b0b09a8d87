//go:build linux

package hotplug

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// tick is how often the links are listed without a wake-up, in case one was
// lost in a way that the kernel did not tell.
const tick = 2 * time.Second

// A Waiter waits for NICs in one namespace, for any number of callers.
type Waiter struct{ host *link.Handle }

// Open makes a waiter for the host namespace, which must stay open until Close.
func Open(host *netns.Namespace) (*Waiter, error) {
	h, err := link.Open(host)
	if err != nil {
		return nil, err
	}
	return &Waiter{host: h}, nil
}

// Close lets the netlink socket go.
func (w *Waiter) Close() { w.host.Close() }

// Wait returns the NIC with the MAC as soon as it is in the host namespace.
// It waits as long as ctx lets it, and returns ErrAmbiguous at once.
func (w *Waiter) Wait(ctx context.Context, mac nic.MAC) (found link.Link, err error) {
	err = w.until(ctx, func() (done bool, err error) {
		links, err := w.host.Links()
		if err != nil {
			return false, err
		}
		found, err = Pick(links, mac)
		if errors.Is(err, ErrNotFound) {
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return link.Link{}, fmt.Errorf("waiting for NIC with MAC %s in the host namespace: %w", mac, err)
	}
	return found, nil
}

// WaitGone returns as soon as no NIC with the MAC is in the host namespace,
// which may be at once. It waits as long as ctx lets it.
func (w *Waiter) WaitGone(ctx context.Context, mac nic.MAC) error {
	err := w.until(ctx, func() (done bool, err error) {
		links, err := w.host.Links()
		if err != nil {
			return false, err
		}
		_, err = Pick(links, mac)
		if errors.Is(err, ErrNotFound) {
			return true, nil
		}
		if errors.Is(err, ErrAmbiguous) {
			err = nil
		}
		return false, err
	})
	if err != nil {
		return fmt.Errorf("waiting for NIC with MAC %s to leave the host namespace: %w", mac, err)
	}
	return nil
}

// until runs look, and again after each change, until it is done or fails. The
// subscription comes first, so that no change falls between.
func (w *Waiter) until(ctx context.Context, look func() (done bool, err error)) error {
	watch, err := link.Subscribe(w.host.Namespace())
	if err != nil {
		return err
	}
	defer watch.Close()
	slow := time.NewTicker(tick)
	defer slow.Stop()
	wake := watch.C
	for {
		if done, err := look(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-slow.C:
		case _, ok := <-wake:
			if !ok {
				wake = nil // the socket broke: the tick alone must do
			}
		}
	}
}
