//go:build linux

package vmdemo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim/site"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/guest"
	"github.com/nicferry/nicferry/internal/lab/story"
)

// metadata shows that a guest learns from the cloud's metadata service who it is and
// could have its role's keys, and that a container with an interface of its own, on
// whose wire the service answers as well, reaches it in no way.
func (s *show) metadata(ctx context.Context) (string, error) {
	knows, err := story.Until(ctx, "the doctor in vm1 to learn from the cloud which instance it is", patience, func() (string, bool, error) {
		knows, err := s.knowsItself(ctx, "vm1")
		return knows, err == nil, err
	})
	if err != nil {
		return "", err
	}
	role, err := s.inGuest("vm1")(ctx, "sh", "-c", s.vendor.AskRole)
	if err != nil || strings.TrimSpace(role) == "" {
		return "", errors.Join(err, errors.New("vm1 itself learns of no role from the metadata service"))
	}
	onWire, err := s.ping(ctx, netip.MustParseAddr(s.vendor.Metadata), 200*time.Millisecond, time.Second)
	if err != nil || onWire.Received == 0 {
		return "", errors.Join(err, fmt.Errorf("the metadata service answers nobody on the interfaces' wire: %s", onWire))
	}
	for _, container := range []string{"web", "db"} {
		if err := s.keptFromMetadata(ctx, "vm1", container); err != nil {
			return "", err
		}
	}
	s.Fact("containers that reach the instance's metadata, of", "0 of 2", "0")
	return fmt.Sprintf("nicferry doctor in vm1: %s;\nand whoever asks there as vm1 does gets the keys of its role %q. From web and db, on whose wire it answers too,\n"+
		"there is no answer: not by the default route, and not to a socket that is bound to eth0", knows, strings.TrimSpace(role)), nil
}

// knowsItself is what the doctor in a guest says of the metadata service, which has to
// be what the cloud says of the instance.
func (s *show) knowsItself(ctx context.Context, name string) (string, error) {
	about, err := s.lab.AboutCloud(ctx)
	if err != nil {
		return "", err
	}
	out, err := s.inGuest(name)(ctx, cluster.GuestBin+"/nicferry", "doctor", "-o", "json")
	if _, unwell := errors.AsType[*guest.ExitError](err); err != nil && !unwell { // it may not like other things here
		return "", err
	}
	var said struct {
		Findings []struct{ Check, Says string }
	}
	if err := json.Unmarshal([]byte(out), &said); err != nil {
		return "", fmt.Errorf("read what the doctor in %s says: %w: %q", name, err, out)
	}
	var told []string
	for _, f := range said.Findings {
		if f.Check == "metadata" {
			told = append(told, f.Says)
		}
	}
	for _, i := range about.Instances {
		if i.Name == name && len(told) > 0 && isOf(told[0], i) {
			return told[0], nil
		}
	}
	return "", fmt.Errorf("the doctor in %s says of the metadata service %q, and the cloud has instances %+v", name, told, about.Instances)
}

// isOf says whether a sentence names the instance, its type and its zone.
func isOf(sentence string, i site.Instance) bool {
	return strings.Contains(sentence, i.ID) && strings.Contains(sentence, i.Type) && strings.Contains(sentence, i.Zone)
}

// keptFromMetadata demands that a container gets no answer from the service, while
// its router answers the same way.
func (s *show) keptFromMetadata(ctx context.Context, where, container string) error {
	docker := s.docker(where)
	role, err := docker(ctx, "exec", container, "sh", "-c", s.vendor.AskRole)
	if err == nil && role != "" {
		err = fmt.Errorf("%s could take the keys of vm1's role %q from %s", container, role, s.vendor.Metadata)
	}
	if err != nil {
		return err
	}
	about, err := s.lab.AboutCloud(ctx)
	if err != nil {
		return err
	}
	router := s.vendor.Gateway(about.Subnets[0]).String()
	out, err := docker(ctx, "exec", container, "ping", "-c", "2", "-W", "5", "-I", "eth0", router)
	if err != nil {
		return fmt.Errorf("%s pings its router by eth0: %w: %s", container, err, out)
	}
	_, err = docker(ctx, "exec", container, "ping", "-c", "1", "-W", "2", "-I", "eth0", s.vendor.Metadata)
	if err == nil {
		return fmt.Errorf("%s gets an answer from %s by a socket that is bound to eth0", container, s.vendor.Metadata)
	}
	if _, ended := errors.AsType[*guest.ExitError](err); !ended {
		return err
	}
	return nil
}
