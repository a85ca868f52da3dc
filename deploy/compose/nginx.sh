#!/bin/sh
# Starts nginx with ../nginx as it is shipped, but for names, addresses, certificate and key.
# compose.yaml runs it in nginx's container, as nobody special and with /tmp as the only place to
# write; so it listens on 8080 and 8443.
set -eu

shipped=$(dirname "$0")/../nginx
here=${CONFIGURATION:-/tmp/bff}
secrets=${SECRETS:-/run/secrets}
http=${HTTP_LISTEN:-8080}
https=${HTTPS_LISTEN:-8443}

authority=${APP_BASE_URL#https://}
authority=${authority%/}
host=${authority%:*}
api=${API_URL#http://}
api=${api%%/*}
case "$APP_BASE_URL" in https://*) ;; *) echo "APP_BASE_URL: must begin with https://" >&2 && exit 1 ;; esac
# nginx would have to check the API's certificate: deploy/nginx/nginx.conf, by hand.
case "$API_URL" in http://*) ;; *) echo "BFF_API_URL: must begin with http://" >&2 && exit 1 ;; esac
case "$api" in *:*) address=$api ;; *) address=$api:80 ;; esac
escaped=$(printf %s "$api" | sed 's/:.*//; s/\./\\\\./g')

umask 077
rm -rf "$here"
mkdir -p "$here"
cp "$shipped"/*.conf "$here"
printf 'proxy_set_header X-Forward-Auth-Key "%s";\n' "$(cat "$secrets/forward-auth-key")" >"$here/key.conf"
sed -i "s|/var/log/nginx/access.log|/dev/stdout|" "$here/log.conf"
sed -i "s|app\.example\.com|$authority|" "$here/api-request.conf"
folders=""
for one in client_body proxy fastcgi uwsgi scgi; do
    folders="$folders ${one}_temp_path $here/$one;"
done
sed -i \
    -e "/^user /d" \
    -e "s|^pid .*|pid $here/pid;|" \
    -e "s|^error_log .*|error_log stderr;|" \
    -e "s|^http {|http {$folders|" \
    -e "s|listen 80;|listen $http;|" \
    -e "s|listen 443 |listen $https |" \
    -e "s|server 127\.0\.0\.1:8000|server $UPSTREAM|" \
    -e "s|server 127\.0\.0\.1:8002|server $address|" \
    -e "s|/etc/letsencrypt/live/app\.example\.com/fullchain\.pem|$secrets/tls-certificate|" \
    -e "s|/etc/letsencrypt/live/app\.example\.com/privkey\.pem|$secrets/tls-key|" \
    -e "s|https://app\.example\.com|https://$authority|g" \
    -e "s|app\.example\.com|$host|g" \
    -e "s|Host api\.internal;|Host $api;|" \
    -e "s|api\\\\.internal|$escaped|g" \
    "$here/nginx.conf"
exec nginx -p "$here" -e stderr -c "$here/nginx.conf" -g 'daemon off;'
