// Package aws has NICs that are elastic network interfaces of EC2.
package aws

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go"
)

// Kind is what Info says of every provider of this room.
const Kind = "aws"

// Options shape a provider.
type Options struct {
	// Name is the configured name; required.
	Name string
}

// A Provider makes NICs in EC2.
type Provider struct {
	api *ec2.Client
}

// New returns a provider.
func New(ctx context.Context, o Options) (*Provider, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	return &Provider{api: ec2.NewFromConfig(cfg)}, nil
}

var _ smithy.APIError = (*smithy.GenericAPIError)(nil)
