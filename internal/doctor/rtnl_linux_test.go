package doctor

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// F42: the kernel's lock for links is held for a while, for real. The probe
// says so, leaves one thread waiting, and sees the end.
func TestF42_KernelHoldsItsLock(t *testing.T) {
	ns := netnstest.New(t)
	h, err := link.Open(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	const limit = 100 * time.Millisecond
	p := NewPulse(limit, func() error { _, err := h.ByIndex(1); return err })
	if took, err := p.Beat(t.Context()); err != nil {
		t.Fatalf("before: %s, %v", took, err)
	}
	release := holdRTNL(t, ns)
	goroutines := runtime.NumGoroutine()
	for range 20 {
		if _, err := p.Beat(t.Context()); !errors.Is(err, ErrStuck) {
			t.Fatalf("while the lock is held: %v, want ErrStuck", err)
		}
	}
	if more := runtime.NumGoroutine() - goroutines; more > 1 {
		t.Errorf("20 calls left %d goroutines", more)
	}
	release()
	start := time.Now()
	for {
		took, err := p.Beat(t.Context())
		if err == nil {
			t.Logf("answered %s after the lock was free; the question took %s", time.Since(start), took)
			break
		}
		if time.Since(start) > 30*time.Second {
			t.Fatalf("not well again 30 s after the lock was free: %v", err)
		}
		runtime.Gosched()
	}
}

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

// holdRTNL makes the kernel hold its lock for links until release: an ethtool
// request is read from our memory under the lock, and its second page comes
// only when we say so. When the test's process dies, the kernel lets go.
func holdRTNL(t *testing.T, ns *netns.Namespace) (release func()) {
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
