//go:build libvirt

package virt

import (
	"fmt"
	"sync"

	"libvirt.org/go/libvirt"
)

// startLoop starts libvirt's event loop, which answers to calls come through.
// It has to be there before the first connection, and there is one for the
// whole program, without an end.
var startLoop = sync.OnceValue(func() error {
	if err := libvirt.EventRegisterDefaultImpl(); err != nil {
		return fmt.Errorf("start libvirt's event loop: %w", kind(err))
	}
	go runLoop()
	return nil
})

func runLoop() {
	for {
		// An error of one round says nothing about the next.
		_ = libvirt.EventRunDefaultImpl()
	}
}
