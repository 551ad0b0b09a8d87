package acs

import (
	"context"
	"errors"
	"os"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
)

// Keys say what to sign with, at each call. A role's keys end, and so they are another
// thing the next time; who has them renews them. The vendor's own code that asks an
// instance's metadata for them is not used: it falls back to asking without a token,
// goes through whatever proxy the environment names, takes an answer without a Code for
// granted, and gives up keys that still last when one question fails.
type Keys func(context.Context) (Key, error)

// ErrNoKeys: there are none here, and there may be elsewhere.
var ErrNoKeys = errors.New("no credentials")

// Fixed are configured keys: a user's, or temporary ones with their token.
func Fixed(k Key) Keys {
	return func(context.Context) (Key, error) {
		if k.Access == "" || k.Secret == "" {
			return Key{}, errors.New("an access key needs both an id and a secret")
		}
		return k, nil
	}
}

// Environment are keys of the variables that the vendor's own tools read:
// ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET and, of temporary ones,
// ALIBABA_CLOUD_SECURITY_TOKEN. ErrNoKeys if the first is not set.
func Environment(context.Context) (Key, error) {
	if os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_ID") == "" {
		return Key{}, ErrNoKeys
	}
	k, err := credentials.NewEnvironmentVariableCredentialsProvider().GetCredentials()
	if err != nil {
		return Key{}, err
	}
	return Key{Access: k.AccessKeyId, Secret: k.AccessKeySecret, Token: k.SecurityToken}, nil
}

// First are the keys of the first of these that has any; one that is broken is told,
// and not passed over.
func First(all ...Keys) Keys {
	return func(ctx context.Context) (Key, error) {
		for _, one := range all {
			if k, err := one(ctx); !errors.Is(err, ErrNoKeys) {
				return k, err
			}
		}
		return Key{}, ErrNoKeys
	}
}
