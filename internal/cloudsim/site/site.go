// Package site is a cloud in memory with all its doors open: its API, the metadata of
// each instance, and the control of its faults.
package site

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/control"
	"github.com/nicferry/nicferry/internal/cloudsim/ec2"
	"github.com/nicferry/nicferry/internal/cloudsim/iam"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
)

// Options shape a site. All are optional.
type Options struct {
	// API is EC2 or ECS; default is EC2.
	API string
	// Slow has each transition take as long as people observe it, and Throttled each
	// call have its bucket, as far as that is known.
	Slow, Throttled bool
	// Listen and Control are where the API and the control listen; default a
	// free port of 127.0.0.1 each. There is no authentication on the control.
	Listen, Control string
	// Instances is how many there are, of Type (m5.large or ecs.g7.xlarge), in turn in each zone.
	Instances int
	Type      string
	// Machines are instances besides, of Type too, that stand for machines: all in
	// the first zone, so that what is attached to one can be attached to another.
	Machines []Machine
	// Metadata is where all instances have their metadata besides, as EC2's have it
	// at 169.254.169.254:80, and ECS's at 100.100.100.200:80: each is known by the
	// address that it asks from, which is one of its interfaces' or its Machine's.
	// Empty is nowhere.
	Metadata string
	// Hardened has all instances' metadata want a token, as EC2's does anyway.
	Hardened bool
	// Faults is a file with a plan, which is watched.
	Faults string
	// Keys are others that may sign, by access key.
	Keys map[string]ec2.Key
	// Account is asked whether a call is allowed; the site tells it what it needs to know
	// of the cloud, also whose keys the metadata gave out. Nil allows everything, unless
	// Cloud has a Policy.
	Account *iam.Account
	// Cloud shapes the model.
	Cloud cloudsim.Options
	// Log is told of what was refused and planned.
	Log *slog.Logger
}

// A Machine is what an instance stands for.
type Machine struct {
	// ID is the instance's; Name is in its tag of that name. Both are required.
	ID, Name string
	// Addr is what it asks its metadata from where that is no interface's. Optional.
	Addr netip.Addr
}

// secretKey belongs to the access key that everybody may sign with.
const secretKey = "a-secret-that-everybody-may-know"

// A Site runs until Close.
type Site struct {
	About About
	Cloud *cloudsim.Cloud
	// Metadata is the service behind the instances' listeners.
	Metadata *imds.Service

	api     api
	keys    map[string]ec2.Key
	closers []func() error
	close   func() error
}

// About is what its user needs to know of a site.
type About struct {
	// API is what it speaks, Endpoint the URL of that, Control that of the control.
	API      string `json:"api"`
	Endpoint string `json:"endpoint"`
	Control  string `json:"control"`
	Region   string `json:"region"`
	Account  string `json:"account"`
	// AccessKey and SecretKey sign requests; nobody else has others.
	AccessKey string     `json:"accessKey"`
	SecretKey string     `json:"secretKey"`
	VPC       string     `json:"vpc"`
	Group     string     `json:"group"`
	Subnets   []Subnet   `json:"subnets"`
	Instances []Instance `json:"instances"`
}

// A Subnet is one of the site's.
type Subnet struct {
	ID    string       `json:"id"`
	Zone  string       `json:"zone"`
	CIDR  netip.Prefix `json:"cidr"`
	CIDR6 netip.Prefix `json:"cidr6"`
}

// An Instance is one of the site's.
type Instance struct {
	ID string `json:"id"`
	// Name is the one that its tag has.
	Name   string `json:"name"`
	Type   string `json:"type"`
	Zone   string `json:"zone"`
	Subnet string `json:"subnet"`
	// Metadata is the URL of its metadata service, which it has for itself.
	Metadata string `json:"metadata"`
}

// Start opens a site. It is the caller's to Close.
func Start(ctx context.Context, o Options) (*Site, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o, api, err := o.withAPI()
	if err != nil {
		return nil, err
	}
	if o.Account != nil {
		o.Cloud.Policy = o.Account
	}
	cloud := cloudsim.New(o.Cloud)
	told := api.metadata
	told.Optional = told.Optional && !o.Hardened
	told.Source, told.Tags, told.Seed, told.Role = cloud, true, o.Cloud.Seed, func(string) string { return role }
	s := &Site{Cloud: cloud, Metadata: imds.New(told), api: api, keys: o.Keys}
	if a := o.Account; a != nil {
		a.Dialect, a.Region, a.ID, a.Assumed = api.policy, cloud.Region(), cloud.Account(), s.session
	}
	s.close = sync.OnceValue(s.shut)
	s.About = About{API: o.API, Region: cloud.Region(), Account: cloud.Account(), AccessKey: api.access, SecretKey: secretKey, Instances: []Instance{}}
	if err := s.open(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// role is the one that all instances have.
const role = "node"

// session is whose a key is that the metadata gave out.
func (s *Site) session(access string) (iam.Session, bool) {
	k, ok := s.Metadata.Key(access)
	return iam.Session{Role: k.Role, Name: k.Instance}, ok
}

// openMetadata opens the instances' metadata.
func (s *Site) openMetadata(ctx context.Context, o Options) error {
	for i := range s.About.Instances {
		instance := &s.About.Instances[i]
		listener, err := s.Metadata.Listen(ctx, instance.ID, "127.0.0.1:0")
		if err != nil {
			return err
		}
		s.closers = append(s.closers, listener.Close)
		instance.Metadata = listener.URL
	}
	if o.Metadata == "" {
		return nil
	}
	listener, err := s.Metadata.ListenToAll(ctx, o.Metadata, func(addr netip.Addr) string {
		for _, m := range o.Machines {
			if m.Addr == addr {
				return m.ID
			}
		}
		return s.Cloud.InstanceAt(addr)
	})
	if err == nil {
		s.closers = append(s.closers, listener.Close)
	}
	return err
}

// open furnishes the cloud and opens its doors.
func (s *Site) open(ctx context.Context, o Options) error {
	if err := s.furnish(o); err != nil {
		return err
	}
	if err := s.openMetadata(ctx, o); err != nil {
		return err
	}
	front, err := listen(ctx, s.api.label, o.Listen)
	if err != nil {
		return err
	}
	s.About.Endpoint = s.serve(front, s.api.door(s, o))
	door, err := listen(ctx, "the control", o.Control)
	if err != nil {
		return err
	}
	s.About.Control = "http://" + door.Addr().String()
	c := control.New(control.Options{Cloud: s.Cloud, Metadata: s.Metadata, About: s.About, Log: o.Log})
	s.serve(door, c)
	if o.Faults == "" {
		return nil
	}
	file, err := c.Load(o.Faults)
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	done.Go(func() { file.Watch(watching) })
	s.closers = append(s.closers, func() error {
		stop()
		done.Wait()
		return nil
	})
	return nil
}

// instance makes one.
func (s *Site) instance(o Options, m Machine, subnet Subnet) error {
	made, err := s.Cloud.AddInstances(cloudsim.RunInstances{
		ID: m.ID, Type: o.Type, Subnet: subnet.ID, Tags: cloudsim.Tags{"Name": m.Name},
	})
	if err != nil {
		return fmt.Errorf("make instance %s: %w", m.Name, err)
	}
	s.About.Instances = append(s.About.Instances, Instance{ID: made[0].ID, Name: m.Name, Type: made[0].Type, Zone: subnet.Zone, Subnet: subnet.ID})
	return nil
}

// furnish makes a network of two zones, and the instances.
func (s *Site) furnish(o Options) error {
	vpc, err := s.Cloud.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.80.0.0/16"), CIDR6: netip.MustParsePrefix("fd80::/56")})
	if err != nil {
		return fmt.Errorf("make the network: %w", err)
	}
	s.About.VPC = vpc.ID
	group, err := s.Cloud.AddGroup(cloudsim.SecurityGroup{Name: "containers", Description: "for interfaces of containers", VPC: vpc.ID})
	if err != nil {
		return fmt.Errorf("make the security group: %w", err)
	}
	s.About.Group = group.ID
	for n, zone := range []string{"a", "b"} {
		subnet, err := s.Cloud.AddSubnet(cloudsim.Subnet{
			VPC: vpc.ID, Zone: s.Cloud.Region() + s.api.zone + zone,
			CIDR:  netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 80, byte(64 * n), 0}), 18),
			CIDR6: netip.MustParsePrefix(fmt.Sprintf("fd80:0:0:%x::/64", n)),
		})
		if err != nil {
			return fmt.Errorf("make a subnet: %w", err)
		}
		s.About.Subnets = append(s.About.Subnets, Subnet{subnet.ID, subnet.Zone, subnet.CIDR, subnet.CIDR6})
	}
	for n := range o.Instances {
		if err := s.instance(o, Machine{Name: fmt.Sprintf("node%d", n+1)}, s.About.Subnets[n%len(s.About.Subnets)]); err != nil {
			return err
		}
	}
	for _, m := range o.Machines {
		if err := s.instance(o, m, s.About.Subnets[0]); err != nil {
			return err
		}
	}
	return nil
}

// key is the key that everybody has, one of Options.Keys, or one that an instance's
// metadata gave out.
func (s *Site) key(access string) (ec2.Key, bool) {
	if access == s.api.access {
		return ec2.Key{Secret: secretKey}, true
	}
	if k, ok := s.keys[access]; ok {
		return k, true
	}
	k, ok := s.Metadata.Key(access)
	return ec2.Key{Secret: k.Secret, Session: k.Session, Expires: k.Expires}, ok
}

func listen(ctx context.Context, what, address string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", cmp.Or(address, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", what, err)
	}
	return l, nil
}

// serve answers requests until Close, and returns the URL.
func (s *Site) serve(l net.Listener, h http.Handler) string {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	s.closers = append(s.closers, func() error {
		err := server.Close()
		if end := <-served; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
		return err
	})
	return "http://" + l.Addr().String()
}

// Close ends the site. A second call returns what the first did.
func (s *Site) Close() error { return s.close() }

func (s *Site) shut() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.Cloud.Close()
	return errors.Join(errs...)
}
