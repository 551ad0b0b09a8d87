//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/cloudsim/site"
	"github.com/nicferry/nicferry/internal/daemon"
)

type cloudCommand struct {
	opts     site.Options
	machines cloudMachines
	output   string
	lag      time.Duration
}

func (c *cloudCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cloud",
		Short: "Run a cloud in memory that speaks EC2's or ECS's API, with faults to order",
		Long: `cloud runs a cloud in memory until it is interrupted: network interfaces,
instances and what surrounds them, by EC2's API, and the metadata service of each
instance. Any client of EC2 can be pointed at it. With --api ecs it speaks the API
of Alibaba Cloud's ECS and VPC, and its metadata. Faults are planned in a file or
by HTTP, and each call stands in a log. It needs no root and no network.
With --domain an instance stands for a virtual machine of libvirt: attaching an
interface plugs a network card into it, and detaching unplugs it.
docs/cloudsim.md tells more.`,
		Example: `  nicferry-lab cloud --instances 2
  aws ec2 describe-instances --endpoint-url http://127.0.0.1:PORT
  nicferry-lab cloud --latency --throttle --faults faults.yaml -o json >cloud.json
  nicferry-lab cloud --api ecs -o env >cloud.env
  nicferry-lab cloud --instances 0 --domain vm1 --domain vm2 --bridge br0`,
		Args: noArgs,
		RunE: c.run,
	}
	flags := cmd.Flags()
	flags.StringVar(&c.opts.API, "api", site.EC2, "ec2, or ecs: that of Alibaba Cloud's ECS and VPC")
	flags.StringVar(&c.opts.Listen, "listen", "127.0.0.1:0", "where the API listens; port 0 is any that is free")
	flags.StringVar(&c.opts.Control, "control", "127.0.0.1:0", "where the control of faults and log listens, without authentication")
	flags.StringVar(&c.opts.Metadata, "metadata", "", "where all instances have their metadata besides, such as 169.254.169.254:80, or 100.100.100.200:80 with --api ecs, in a network of their own: each is known by the address that it asks from")
	flags.IntVar(&c.opts.Instances, "instances", 2, "how many instances there are, 0 to 10000")
	flags.StringVar(&c.opts.Type, "type", "", "what type they are of (default m5.large, or ecs.g7.xlarge)")
	flags.StringVar(&c.opts.Faults, "faults", "", "a file with faults, in YAML, taken over anew whenever it changes")
	flags.StringVar(&c.opts.Cloud.Region, "region", "", "the region that it is (default eu-central-1, or cn-hangzhou)")
	flags.Uint64Var(&c.opts.Cloud.Seed, "seed", 0, "draws ids, MAC addresses and times; the same seed draws the same")
	flags.BoolVar(&c.opts.Slow, "latency", false, "let creating, attaching and detaching take as long as on the real cloud")
	flags.BoolVar(&c.opts.Throttled, "throttle", false, "throttle calls as the real cloud does, as far as that is known")
	flags.DurationVar(&c.lag, "lag", 0, "show what was written only after up to this time")
	c.machines.flags(flags)
	flags.StringVarP(&c.output, "output", "o", "table", "table, json, or env: what a shell or a client reads")
	return cmd
}

func (c *cloudCommand) run(cmd *cobra.Command, _ []string) error {
	switch {
	case !slices.Contains([]string{"table", "json", "env"}, c.output):
		return daemon.UsageError{Err: fmt.Errorf("-o %q: want table, json or env", c.output)}
	case c.opts.Label() == "":
		return daemon.UsageError{Err: fmt.Errorf("--api %q: want ec2 or ecs", c.opts.API)}
	case c.opts.Instances < 0 || c.opts.Instances > 10000:
		return daemon.UsageError{Err: fmt.Errorf("--instances %d: want 0 to 10000", c.opts.Instances)}
	case c.lag < 0:
		return daemon.UsageError{Err: fmt.Errorf("--lag %s: want 0 or more", c.lag)}
	}
	if err := c.machines.check(); err != nil {
		return err
	}
	c.opts.Cloud.Lag.Describe.Max = c.lag
	c.opts.Log = daemon.Logger(os.Stderr, slog.LevelInfo, "text")
	end, err := c.machines.open(cmd.Context(), &c.opts, c.opts.Log)
	if err != nil {
		return err
	}
	s, err := site.Start(cmd.Context(), c.opts)
	if err != nil {
		return errors.Join(err, end())
	}
	return errors.Join(c.show(cmd, s.About), s.Close(), end())
}

// show tells of the site, and waits for its end.
func (c *cloudCommand) show(cmd *cobra.Command, about site.About) error {
	var text bytes.Buffer // written at once, for whoever waits for it
	var err error
	switch c.output {
	case "json":
		err = json.NewEncoder(&text).Encode(about)
	case "env":
		environment(&text, about)
	default:
		err = describe(&text, about)
	}
	if err == nil {
		_, err = cmd.OutOrStdout().Write(text.Bytes())
	}
	if err == nil {
		<-cmd.Context().Done()
	}
	return err
}

// environment is what clients read of themselves, and what a shell needs besides.
func environment(out io.Writer, a site.About) {
	clients := map[string][][2]string{
		site.EC2: {
			{"AWS_ENDPOINT_URL_EC2", a.Endpoint},
			{"AWS_REGION", a.Region},
			{"AWS_DEFAULT_REGION", a.Region},
			{"AWS_ACCESS_KEY_ID", a.AccessKey},
			{"AWS_SECRET_ACCESS_KEY", a.SecretKey},
		},
		site.ECS: {
			{"ECS_ENDPOINT", a.Endpoint},
			{"VPC_ENDPOINT", a.Endpoint},
			{"ALIBABA_CLOUD_REGION_ID", a.Region},
			{"ALIBABA_CLOUD_ACCESS_KEY_ID", a.AccessKey},
			{"ALIBABA_CLOUD_ACCESS_KEY_SECRET", a.SecretKey},
		},
	}
	for _, v := range append(clients[a.API], [][2]string{
		{"CLOUD_CONTROL", a.Control},
		{"CLOUD_VPC", a.VPC},
		{"CLOUD_GROUP", a.Group},
	}...) {
		fmt.Fprintf(out, "export %s=%s\n", v[0], v[1])
	}
	for n, s := range a.Subnets {
		fmt.Fprintf(out, "export CLOUD_SUBNET%d=%s\n", n+1, s.ID)
	}
	for n, i := range a.Instances {
		fmt.Fprintf(out, "export CLOUD_INSTANCE%d=%s CLOUD_METADATA%d=%s\n", n+1, i.ID, n+1, i.Metadata)
	}
}

// describe shows people what there is.
func describe(out io.Writer, a site.About) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\t%s\n", site.Options{API: a.API}.Label(), a.Endpoint)
	fmt.Fprintf(w, "control\t%s\n", a.Control)
	fmt.Fprintf(w, "region\t%s, account %s\n", a.Region, a.Account)
	fmt.Fprintf(w, "sign with\tkey %s, secret %s\n", a.AccessKey, a.SecretKey)
	fmt.Fprintf(w, "network\t%s, security group %s\n", a.VPC, a.Group)
	for _, s := range a.Subnets {
		fmt.Fprintf(w, "subnet\t%s, %s, %s\n", s.ID, s.Zone, s.CIDR)
	}
	for _, i := range a.Instances {
		fmt.Fprintf(w, "instance\t%s, %s, %s, metadata %s\n", i.ID, i.Type, i.Zone, i.Metadata)
	}
	fmt.Fprintln(w, "\nIt runs until you interrupt it.")
	return w.Flush()
}
