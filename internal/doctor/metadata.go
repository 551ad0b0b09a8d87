package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/nicferry/nicferry/internal/metadata"
	"github.com/nicferry/nicferry/nic"
)

// maxContainers bounds how many containers are looked into.
const maxContainers = 64

// Where metadata services are: EC2's in both families, and ECS's.
var (
	metadata4   = netip.AddrFrom4([4]byte{169, 254, 169, 254})
	metadata6   = netip.AddrFrom16([16]byte{0xfd, 0x00, 0x0e, 0xc2, 14: 0x02, 15: 0x54})
	metadataECS = netip.AddrFrom4([4]byte{100, 100, 100, 200})
)

// A cloud is one of whose instances this machine may be.
type cloud struct {
	name    string
	dialect metadata.Dialect
	at      []netip.Addr
	// enable is the command that switches the service on.
	enable string
	// open says of a role what keeps other containers from its keys, and the command.
	open func(role string, id metadata.Identity) string
}

func ec2Cloud() cloud {
	return cloud{
		name: "EC2", dialect: metadata.EC2(), at: []netip.Addr{metadata4, metadata6},
		enable: "aws ec2 modify-instance-metadata-options --http-endpoint enabled --http-tokens required --instance-id INSTANCE",
		open: func(role string, id metadata.Identity) string {
			return fmt.Sprintf("other containers are kept from the keys of the role %.60q by the hop limit alone: "+
				"aws ec2 modify-instance-metadata-options --instance-id %s --http-tokens required --http-put-response-hop-limit 1", role, id.Instance)
		},
	}
}

const ecsName = "ECS"

func ecsCloud() cloud {
	const modify = "aliyun ecs ModifyInstanceMetadataOptions --HttpEndpoint enabled --HttpTokens required"
	return cloud{
		name: ecsName, dialect: metadata.ECS(), at: []netip.Addr{metadataECS},
		enable: modify + " --RegionId REGION --InstanceId INSTANCE",
		open: func(role string, id metadata.Identity) string {
			return fmt.Sprintf("the cloud keeps no container from the keys of the role %.60q: those of Docker's own networks are closed by iptables -I DOCKER-USER -d %s -j DROP, "+
				"and programs that pass on what they are asked by "+modify+" --RegionId %s --InstanceId %s", role, metadataECS, id.Region, id.Instance)
		},
	}
}

// checkMetadata looks, on an instance of a cloud, whether the instance reaches its
// metadata service and whether containers with NICs of their own do.
func checkMetadata(ctx context.Context, v *visit) {
	here, on := v.cloud()
	if !on {
		v.ok("no instance of EC2 or ECS: nothing here has keys for whoever asks")
		return
	}
	id, role := v.askMetadata(ctx, here)
	open, looked := v.openContainers(ctx, here, role)
	if looked > 0 && open == 0 {
		v.ok("%d containers with NICs of their own have no way to the metadata service", looked)
	}
	if role != "" {
		v.ok("%s", here.open(role, id))
	}
}

// cloud goes by what the hypervisor writes into the machine's description: asking
// an address that is nobody's costs time, and tells nothing where it is a portal's.
func (t tree) cloud() (c cloud, on bool) {
	vendor := t.word("sys/class/dmi/id/sys_vendor")
	switch {
	case strings.HasPrefix(vendor, "Amazon EC2"), strings.HasPrefix(t.word("sys/hypervisor/uuid"), "ec2"):
		return ec2Cloud(), true
	case strings.HasPrefix(vendor, "Alibaba Cloud"), strings.HasPrefix(t.word("sys/class/dmi/id/product_name"), "Alibaba Cloud ECS"):
		return ecsCloud(), true
	}
	return cloud{}, false
}

// onCloud is whether containers may share an interface here.
func (t tree) onCloud() bool {
	_, on := t.cloud()
	return on
}

// askMetadata asks who the instance is, and for its role's name.
func (v *visit) askMetadata(ctx context.Context, here cloud) (id metadata.Identity, role string) {
	if v.Network == nil {
		v.warn("", "cannot look: the metadata service is not asked here")
		return id, ""
	}
	c, err := metadata.New(metadata.Options{
		Dialect: here.dialect, Log: slog.New(slog.DiscardHandler), Dial: v.Network.DialContext, Patience: v.patience,
	})
	if err != nil {
		v.warn("", "cannot ask: %s", short(err))
		return id, ""
	}
	defer c.Close()
	if id, err = c.Identity(ctx); err != nil {
		v.tellMetadata(here, err)
		return id, ""
	}
	v.ok("%.40s, a %.40s in %.40s, reaches its metadata service", id.Instance, id.Type, id.Zone)
	if role, err = c.Role(ctx); err != nil {
		v.warn("", "cannot look for a role: %s", short(err))
	}
	return id, role
}

// tellMetadata says what it means that the service does not answer: only a
// controller needs it.
func (v *visit) tellMetadata(here cloud, err error) {
	switch {
	case !v.hasController() && !errors.Is(err, metadata.ErrStrange):
		v.ok("the agent needs no metadata service, and has none: %s", short(err))
	case errors.Is(err, metadata.ErrStrange):
		v.warn("ip route get "+here.at[0].String(), "something else answers for the metadata service: %s", short(err))
	default:
		v.warn(here.enable+"; or name region and credentials by other means", "a role's credentials and the region come from there: %s", short(err))
	}
}

// openContainers warns of containers with NICs of their own that reach the
// service, and returns how many those are and how many were looked into.
func (v *visit) openContainers(ctx context.Context, here cloud, role string) (open, looked int) {
	var all []struct {
		ID     string `json:"Id"`
		Names  []string
		Labels map[string]string
	}
	docker := way{name: "the Docker daemon", socket: v.DockerSocket}
	if _, err := v.ask(ctx, docker, "/containers/json", &all); err != nil {
		return 0, 0 // the check of Docker tells
	}
	for _, c := range all {
		if len(nic.ParseLabels(c.Labels)) == 0 || looked == maxContainers {
			continue
		}
		var one struct{ State struct{ Pid int } }
		if _, err := v.ask(ctx, docker, "/containers/"+url.PathEscape(c.ID)+"/json", &one); err != nil || one.State.Pid <= 0 {
			continue // it has ended
		}
		looked++
		reaches := v.reaches("proc/"+strconv.Itoa(one.State.Pid)+"/net/", here.at)
		if len(reaches) == 0 {
			continue
		}
		open++
		name := c.ID
		if len(c.Names) > 0 {
			name = strings.TrimPrefix(c.Names[0], "/")
		}
		keys := ""
		if role != "" {
			keys = fmt.Sprintf(", and so the keys of the role %.60q", role)
		}
		v.warn("take metadata: true from its network, or keep it there if that is meant; nicferry describe claims says which network",
			"container %.60s has a route to %s%s", name, strings.Join(reaches, " and "), keys)
	}
	return open, looked
}
