//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// leaseTime is the shortest that dnsmasq gives.
const leaseTime = 120 * time.Second

// A Lease is one that the segment's DHCP server has given.
type Lease struct {
	Expires  time.Time
	MAC      nic.MAC
	Addr     netip.Addr
	Hostname string // empty if the client gave none
	ClientID string // as hex pairs with colons; empty if the client gave none
}

// StartDHCP starts the segment's dnsmasq and waits until it serves. After
// StopDHCP it knows its leases again.
func (s *Segment) StartDHCP(ctx context.Context) error {
	pidFile := s.file("dnsmasq.pid")
	if err := os.Remove(pidFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("start dnsmasq: %w", err)
	}
	if err := s.writeOptions(); err != nil {
		return err
	}
	args := s.exec("dnsmasq", append(DHCPArgs(wire, s.dhcpRange(), s.file("leases"), pidFile),
		"--log-facility="+s.file("dhcp.log"), "--dhcp-optsfile="+s.file("options")))
	process, err := s.node.Spawn(Program{Name: s.opts.Name + ".dnsmasq", Args: append([]string{"ip"}, args...)})
	if err != nil {
		return err
	}
	s.dhcp = process
	return s.awaitDHCP(ctx, pidFile)
}

// DHCPArgs are the arguments of a dnsmasq that is a DHCP server and nothing
// else, on one interface and in the foreground. It gives out addresses of the
// range, in dnsmasq's words; leases and pidFile are where it keeps these.
func DHCPArgs(iface, addrs, leases, pidFile string) []string {
	return []string{
		"--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--group=root",
		"--port=0", "--interface=" + iface, "--bind-interfaces", "--except-interface=lo",
		"--dhcp-authoritative", "--dhcp-rapid-commit",
		"--no-ping", // it would look for 3 s whether the address is free
		"--dhcp-range=" + addrs,
		"--dhcp-leasefile=" + leases, "--pid-file=" + pidFile,
		"--log-dhcp",
	}
}

// SetDHCPOptions starts the DHCP server again so that it gives these options,
// each as dnsmasq writes it, such as "26,1400" for an MTU. It knows its leases.
func (s *Segment) SetDHCPOptions(ctx context.Context, options ...string) error {
	s.options = options
	if err := s.StopDHCP(ctx); err != nil {
		return err
	}
	return s.StartDHCP(ctx)
}

func (s *Segment) writeOptions() error {
	text := ""
	for _, option := range s.options {
		text += option + "\n"
	}
	if err := os.WriteFile(s.file("options"), []byte(text), 0o644); err != nil {
		return fmt.Errorf("write DHCP options: %w", err)
	}
	return nil
}

// awaitDHCP waits for the pid file, which dnsmasq writes when its sockets are
// open.
func (s *Segment) awaitDHCP(ctx context.Context, pidFile string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if text, err := os.ReadFile(pidFile); err == nil && len(text) > 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.dhcp.Done():
			return errors.Join(errors.New("dnsmasq ended at once"), tail(s.node.dir, s.opts.Name+".dnsmasq"), tail(s.node.dir, s.opts.Name+".dhcp"))
		case <-ctx.Done():
			return fmt.Errorf("wait for dnsmasq: %w", ctx.Err())
		}
	}
}

// dhcpRange is dnsmasq's form of the range: first, last, mask, lease time.
func (s *Segment) dhcpRange() string {
	r, bits := s.opts.DHCP, 24
	for _, p := range s.opts.Addrs {
		if p.Masked().Contains(r.First) {
			bits = p.Bits()
		}
	}
	mask := ^uint32(0) << (32 - bits)
	dotted := netip.AddrFrom4([4]byte{byte(mask >> 24), byte(mask >> 16), byte(mask >> 8), byte(mask)})
	return fmt.Sprintf("%s,%s,%s,%d", r.First, r.Last, dotted, int(leaseTime.Seconds()))
}

// StopDHCP takes the DHCP server away. It may be called twice.
func (s *Segment) StopDHCP(ctx context.Context) error {
	if s.dhcp == nil {
		return nil
	}
	return s.dhcp.Kill(ctx)
}

// DHCPLog is what the DHCP server has logged of its clients so far, over all
// its starts.
func (s *Segment) DHCPLog() (string, error) {
	text, err := os.ReadFile(s.file("dhcp.log"))
	if err != nil {
		return "", fmt.Errorf("read DHCP log: %w", err)
	}
	return string(text), nil
}

// Leases are those that the DHCP server has on record.
func (s *Segment) Leases() ([]Lease, error) {
	text, err := os.ReadFile(s.file("leases"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read leases: %w", err)
	}
	return parseLeases(string(text))
}

// parseLeases reads dnsmasq's lease file: expiry, MAC, address, host name,
// client id, with a star for what is not known.
func parseLeases(text string) ([]Lease, error) {
	var leases []Lease
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 5 {
			return nil, fmt.Errorf("read leases: %q: want five fields", line)
		}
		expires, err := strconv.ParseInt(f[0], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read leases: expiry of %q: %w", line, err)
		}
		mac, err := nic.ParseMAC(f[1])
		if err != nil {
			return nil, fmt.Errorf("read leases: %w", err)
		}
		addr, err := netip.ParseAddr(f[2])
		if err != nil {
			return nil, fmt.Errorf("read leases: %w", err)
		}
		leases = append(leases, Lease{
			Expires: time.Unix(expires, 0), MAC: mac, Addr: addr,
			Hostname: strings.Trim(f[3], "*"), ClientID: strings.Trim(f[4], "*"),
		})
	}
	return leases, nil
}

func (s *Segment) file(name string) string {
	return filepath.Join(s.node.dir, s.opts.Name+"."+name)
}
