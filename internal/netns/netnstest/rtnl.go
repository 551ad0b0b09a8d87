//go:build linux

package netnstest

import (
	"fmt"
	"os"
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

// HoldLinks makes the kernel hold its lock for links until release: an ethtool
// request is read from our memory under the lock, and its second page comes
// only when we say so. It is one lock for the whole machine: hold it briefly.
// When the test's process dies, the kernel lets go.
func HoldLinks(t testing.TB, ns *netns.Namespace) (release func()) {
	t.Helper()
	page := os.Getpagesize()
	mem, err := unix.Mmap(-1, 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC, 0, 0)
	if errno != 0 {
		t.Fatalf("userfaultfd: %v", errno)
	}
	control := func(request uintptr, arg unsafe.Pointer) {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg)); errno != 0 {
			t.Fatalf("userfaultfd request %#x: %v", request, errno)
		}
	}
	api := [3]uint64{uffdAPI}
	control(uffdioAPI, unsafe.Pointer(&api))
	second := uint64(uintptr(unsafe.Pointer(&mem[page])))
	register := [4]uint64{second, uint64(page), uffdRegisterMiss}
	control(uffdioRegister, unsafe.Pointer(&register))

	// The command's number ends the first page; the rest of it is in the second.
	request := unsafe.Pointer(&mem[page-4])
	*(*uint32)(request) = ethtoolGetStrings
	done := make(chan error, 1)
	go func() { done <- ns.Do(func() error { return ethtool("lo", request) }) }()

	event := make([]byte, 32)
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 10_000); err != nil || n != 1 {
		t.Fatalf("wait for the kernel to read the request: %d, %v", n, err)
	}
	if _, err := unix.Read(int(fd), event); err != nil || event[0] != uffdEventFault {
		t.Fatalf("read page fault: %v, event %#x", err, event[0])
	}
	released := false
	release = func() {
		if released {
			return
		}
		released = true
		zero := [4]uint64{second, uint64(page)}
		control(uffdioZeropage, unsafe.Pointer(&zero))
		err := <-done
		t.Logf("the request that held the lock ended with: %v", err)
		unix.Close(int(fd))
		unix.Munmap(mem)
	}
	t.Cleanup(release)
	return release
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
