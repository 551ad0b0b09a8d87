package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/metadata"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/aliyun"
	"github.com/nicferry/nicferry/provider/aliyun/acs"
	"github.com/nicferry/nicferry/provider/aws"
)

// clusterKey is under what a provider's ledger has its cluster's id.
const clusterKey = "cluster"

// clusterOf is by what the things that a provider makes in a cloud are told from other
// installations': an id, which is drawn once.
func clusterOf(ctx context.Context, ledger provider.Ledger) (string, error) {
	id, _, err := ledger.Put(ctx, clusterKey, []byte(strings.ToLower(rand.Text())))
	if err != nil {
		return "", fmt.Errorf("remember its cluster's id: %w", err)
	}
	return string(id), nil
}

// openAWS opens a provider of AWS. Its region is the one that is configured, or that
// AWS's own tools would take, or else that of this machine.
func openAWS(ctx context.Context, c conf.Provider, ledger provider.Ledger, log *slog.Logger) (provider.Provider, error) {
	id, err := clusterOf(ctx, ledger)
	if err != nil {
		return nil, err
	}
	opts := aws.Options{Name: c.Name, Cluster: id, Region: c.AWS.Region, Endpoint: c.AWS.Endpoint, Profile: c.AWS.Profile, Calls: c.AWS.Calls, Log: log}
	p, err := aws.New(ctx, opts)
	if errors.Is(err, aws.ErrNoRegion) {
		if opts.Region, err = metadata.Region(ctx, metadata.EC2(), os.Getenv, log); err != nil {
			return nil, err
		}
		p, err = aws.New(ctx, opts)
	}
	if err != nil {
		return nil, err // and no Provider that holds a nil
	}
	log.Info("provider of AWS opened", "provider", c.Name, "region", p.Region(), "cluster", opts.Cluster)
	return p, nil
}

// inAliyun is a provider of Alibaba Cloud, and what reads this machine's metadata for its
// keys: nil if that is not to be read.
type inAliyun struct {
	*aliyun.Provider
	role *metadata.Client
}

// Close implements io.Closer.
func (p inAliyun) Close() error {
	if p.role != nil {
		p.role.Close()
	}
	return nil
}

// openAliyun opens a provider of Alibaba Cloud. Its region is the one that is configured,
// or else that of this machine; it signs with the key that the environment has, or else
// with those of this machine's role.
func openAliyun(ctx context.Context, c conf.Provider, ledger provider.Ledger, log *slog.Logger) (provider.Provider, error) {
	id, err := clusterOf(ctx, ledger)
	if err != nil {
		return nil, err
	}
	region := c.Aliyun.Region
	if region == "" {
		if region, err = metadata.Region(ctx, metadata.ECS(), os.Getenv, log); err != nil {
			return nil, err
		}
	}
	role, off := metadata.Here(metadata.ECS(), os.Getenv, log)
	p, err := aliyun.New(ctx, aliyun.Options{
		Name: c.Name, Cluster: id, Region: region, Endpoint: c.Aliyun.Endpoint, VPCEndpoint: c.Aliyun.VPCEndpoint,
		Keys: acs.First(acs.Environment, keysOf(role, off)), Calls: c.Aliyun.Calls, Log: log,
	})
	if err != nil {
		return nil, err // and no Provider that holds a nil
	}
	log.Info("provider of Alibaba Cloud opened", "provider", c.Name, "region", p.Region(), "cluster", id)
	return inAliyun{p, role}, nil
}

// keysOf are the keys of the role that an instance of ECS has; off is why it is not asked.
// They are looked for where the environment has none, and the error tells of both.
func keysOf(role *metadata.Client, off error) acs.Keys {
	return func(ctx context.Context) (k acs.Key, err error) {
		var of metadata.Keys
		if err = off; err == nil {
			of, err = role.Keys(ctx)
		}
		if err != nil {
			return k, fmt.Errorf("ALIBABA_CLOUD_ACCESS_KEY_ID is not set, and: %w", err)
		}
		return acs.Key{Access: of.Access, Secret: of.Secret, Token: of.Token}, nil
	}
}
