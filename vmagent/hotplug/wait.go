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

// Wait returns the NIC with the MAC as soon as it is in the host namespace,
// which must stay open meanwhile.
// It waits as long as ctx lets it, and returns ErrAmbiguous at once.
func Wait(ctx context.Context, host *netns.Namespace, mac nic.MAC) (found link.Link, err error) {
	err = until(ctx, host, func(links []link.Link) (done bool, err error) {
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
func WaitGone(ctx context.Context, host *netns.Namespace, mac nic.MAC) error {
	err := until(ctx, host, func(links []link.Link) (done bool, err error) {
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

// until looks at the links of host, and again after each change, until look is
// done or fails. The subscription comes first, so that no change falls between.
func until(ctx context.Context, host *netns.Namespace, look func([]link.Link) (done bool, err error)) error {
	watch, err := link.Subscribe(host)
	if err != nil {
		return err
	}
	defer watch.Close()
	h, err := link.Open(host)
	if err != nil {
		return err
	}
	defer h.Close()
	slow := time.NewTicker(tick)
	defer slow.Stop()
	wake := watch.C
	for {
		links, err := h.Links()
		if err != nil {
			return err
		}
		if done, err := look(links); done || err != nil {
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
