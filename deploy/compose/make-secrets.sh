#!/bin/sh
# Makes secrets/ (or SECRETS_DIR) for compose.yaml, in the folder of the repository. What is there stays.
#
#     sh deploy/compose/make-secrets.sh [ENV_FILE]
#
# The client's secret at the provider is read from the standard input. The certificate is signed by
# itself; put your own into tls.crt and tls.key there, before or afterwards.
set -eu

env_file=${1:-.env}
folder=$(sed -n 's/^SECRETS_DIR=//p' "$env_file")
base_url=$(sed -n 's/^APP_BASE_URL=//p' "$env_file" | tr -d "\"'")
host=$(printf %s "$base_url" | sed 's|^https\{0,1\}://||; s|[:/].*||')
[ -n "$host" ] || { echo "$env_file: APP_BASE_URL is missing" >&2; exit 1; }

# Engines mount such files with the owner and mode that they have here, and each container runs as
# another user: so everybody may read the files, and nobody else may enter the folder.
mkdir -p "${folder:=secrets}"
cd "$folder"
chmod 700 .
umask 022
random() { openssl rand -hex 32; }

[ -s auth0-secret ] || random >auth0-secret
[ -s forward-auth-key ] || random >forward-auth-key
if [ ! -s redis-url ]; then
    password=$(random)
    printf 'requirepass %s\n' "$password" >redis.conf
    printf 'redis://:%s@redis:6379/0\n' "$password" >redis-url
fi
if [ ! -s client-secret ]; then
    [ -t 0 ] && printf 'The client secret, from the provider: ' >&2
    IFS= read -r client_secret || true
    [ -n "$client_secret" ] || { echo "No client secret on the standard input" >&2; exit 1; }
    printf '%s\n' "$client_secret" >client-secret
fi
if [ ! -s tls.crt ]; then
    names=DNS:$host
    # compose.keycloak.yaml has a second name.
    case "$host" in *.localhost) names=$names,DNS:id.localhost ;; esac
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 90 \
        -subj "/CN=$host" -addext "subjectAltName=$names" \
        -addext "keyUsage=critical,digitalSignature,keyCertSign" \
        -keyout tls.key -out tls.crt 2>/dev/null
fi
chmod 444 ./*
