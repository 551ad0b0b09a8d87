//go:build linux

package netnstest

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/netns"
)

// From linux/userfaultfd.h.
const (
	uffdioAPI         = 0xc018aa3f
	uffdioRegister    = 0xc020aa00
	uffdioZeropage    = 0xc020aa04
	uffdRegisterMiss  = 1
	uffdAPI           = 0xaa
	uffdEventFault    = 0x12
	ethtoolGetStrings = 0x1b // ETHTOOL_GSTRINGS
)

// HoldLinks makes the kernel hold its lock for links until release, or the end
// of the test; see Hold.
func HoldLinks(t testing.TB, ns *netns.Namespace) (release func()) {
	t.Helper()
	end, err := Hold(ns)
	if err != nil {
		t.Fatal(err)
	}
	release = func() { t.Logf("the request that held the lock ended with: %v", end()) }
	t.Cleanup(func() { _ = end() })
	return release
}

// Hold makes the kernel hold its lock for links until release, which returns
// what became of the request that held it and may be called again: an ethtool
// request is read from our memory under the lock, and its second page comes
// only when we say so. It is one lock for the whole machine: hold it briefly.
// When the process dies, the kernel lets go.
func Hold(ns *netns.Namespace) (release func() error, err error) {
	page := os.Getpagesize()
	mem, err := unix.Mmap(-1, 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("map two pages: %w", err)
	}
	second := uint64(uintptr(unsafe.Pointer(&mem[page])))
	fd, err := openFaults(second, uint64(page))
	if err != nil {
		return nil, err
	}
	// The command's number ends the first page; the rest of it is in the second.
	request := unsafe.Pointer(&mem[page-4])
	*(*uint32)(request) = ethtoolGetStrings
	done := make(chan error, 1)
	go func() { done <- ns.Do(func() error { return ethtool("lo", request) }) }()

	release = sync.OnceValue(func() error {
		zero := [4]uint64{second, uint64(page)}
		if err := control(fd, uffdioZeropage, unsafe.Pointer(&zero)); err != nil {
			return err // and the memory stays, since the kernel waits for it
		}
		err := <-done
		unix.Close(fd)
		unix.Munmap(mem)
		return err
	})
	event := make([]byte, 32)
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 10_000); err != nil || n != 1 {
		return nil, errors.Join(fmt.Errorf("wait for the kernel to read the request: %d, %w", n, err), release())
	}
	if _, err := unix.Read(fd, event); err != nil || event[0] != uffdEventFault {
		return nil, errors.Join(fmt.Errorf("read page fault: event %#x, %w", event[0], err), release())
	}
	return release, nil
}

// openFaults has the kernel tell of the first use of a page, and wait.
func openFaults(start, size uint64) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC, 0, 0)
	if errno != 0 {
		return 0, fmt.Errorf("userfaultfd: %w", errno)
	}
	api := [3]uint64{uffdAPI}
	register := [4]uint64{start, size, uffdRegisterMiss}
	err := control(int(fd), uffdioAPI, unsafe.Pointer(&api))
	if err == nil {
		err = control(int(fd), uffdioRegister, unsafe.Pointer(&register))
	}
	if err != nil {
		unix.Close(int(fd))
	}
	return int(fd), err
}

func control(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return fmt.Errorf("userfaultfd request %#x: %w", request, errno)
	}
	return nil
}

// ethtool asks for one link; the answer does not matter.
func ethtool(name string, request unsafe.Pointer) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	var ifreq struct {
		name [16]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(ifreq.name[:], name)
	ifreq.data = request
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifreq))); errno != 0 {
		return fmt.Errorf("ask ethtool: %w", errno)
	}
	return nil
}
