//go:build linux

package vf

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// A Port is an interface in a namespace.
type Port struct {
	Namespace *netns.Namespace
	Index     int
}

// ErrUnseen: no frame of those that were sent has arrived.
var ErrUnseen = errors.New("no frame has been seen")

const (
	// etherLocal is the type of frames for experiments on one's own wire, IEEE 802:
	// no host answers them.
	etherLocal = 0x88b5
	// sendAgain is how often a frame is sent: a port that has just come up loses some.
	sendAgain = 50 * time.Millisecond
	snapLen   = 128
)

// Leaves sends broadcast frames from a port, as the kernel addresses them, until
// witness sees one that comes from mac. witness is a port on the same wire, such
// as the PF's where its switch shows it what VFs send. It may be from itself:
// then it is shown that frames are handed to the driver with that MAC, and not
// what the card makes of them.
//
// A frame that comes from another MAC is ErrUnheeded, at once; none at all when ctx
// ends, which must have a deadline, ErrUnseen.
func Leaves(ctx context.Context, from Port, mac nic.MAC, witness Port) error {
	err := leaves(ctx, from, mac, witness)
	if err != nil {
		return fmt.Errorf("see a frame leave from %s: %w", mac, err)
	}
	return nil
}

func leaves(ctx context.Context, from Port, mac nic.MAC, witness Port) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		return errors.New("there is no deadline")
	}
	ear, err := open(witness, unix.SOCK_RAW, unix.ETH_P_ALL)
	if err != nil {
		return err
	}
	defer ear.Close()
	mouth, err := open(from, unix.SOCK_DGRAM, 0) // deaf
	if err != nil {
		return err
	}
	defer mouth.Close()
	mark := append([]byte("nicferry"), make([]byte, 16)...)
	rand.Read(mark[8:])
	frame := make([]byte, snapLen)
	for ctx.Err() == nil {
		if err := shout(mouth, from.Index, mark); err != nil {
			return err
		}
		pause := time.Now().Add(sendAgain)
		if deadline.Before(pause) {
			pause = deadline
		}
		if err := ear.SetReadDeadline(pause); err != nil {
			return err
		}
		for {
			n, err := ear.Read(frame)
			if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, unix.ENETDOWN) { // told once, when it is set down
				break
			}
			if err != nil {
				return err
			}
			if n < 14 || !bytes.Contains(frame[:n], mark) {
				continue
			}
			if source := nic.MAC(frame[6:12]); source != mac {
				return fmt.Errorf("%w: it comes from %s", ErrUnheeded, source)
			}
			return nil
		}
	}
	return fmt.Errorf("%w: %w", ErrUnseen, context.Cause(ctx))
}

// open opens a packet socket on a port. With the protocol 0 it hears nothing.
func open(at Port, kind int, protocol uint16) (file *os.File, err error) {
	err = at.Namespace.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(protocol), Ifindex: at.Index}); err != nil {
			return errors.Join(os.NewSyscallError("bind", err), unix.Close(fd))
		}
		file = os.NewFile(uintptr(fd), "frames")
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open packet socket on interface %d in %s: %w", at.Index, at.Namespace.ID(), err)
	}
	return file, nil
}

// shout broadcasts one frame. The kernel writes its source: the interface's MAC.
func shout(mouth *os.File, index int, mark []byte) error {
	to := &unix.SockaddrLinklayer{Protocol: bigEndian(etherLocal), Ifindex: index, Halen: 6}
	copy(to.Addr[:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	raw, err := mouth.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		sent = unix.Sendto(int(fd), mark, 0, to)
		return !errors.Is(sent, unix.EAGAIN)
	})
	if errors.Is(sent, unix.ENETDOWN) || errors.Is(sent, unix.ENOBUFS) { // down: it may come up
		sent = nil
	}
	return errors.Join(err, sent)
}

func bigEndian(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}
