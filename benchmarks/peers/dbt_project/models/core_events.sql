with clicks as (
  select row_number() over () as line, * from read_csv(
    '{{ env_var("PEERS_LANDING") }}/browse/*.csv', header = true, all_varchar = true, filename = true, ignore_errors = true
  )
),
deduplicated as (
  select * from clicks
  qualify row_number() over (
    partition by at_utc, session, customer, event, sku, device order by filename, line
  ) = 1
),
typed as (
  select
    nullif(trim(customer), '') as user_id,
    nullif(trim(session), '') as session_id,
    upper(nullif(trim(sku), '')) as item_id,
    case event
      when 'view_item' then 'view' when 'search' then 'search' when 'add_to_wishlist' then 'favourite'
      when 'add_to_cart' then 'cart' when 'remove_from_cart' then 'remove'
    end as event,
    nullif(trim(device), '') as channel,
    try_strptime(at_utc, '%Y-%m-%d %H:%M:%S') as event_ts,
    filename,
    line
  from deduplicated
)
select
  user_id, session_id, item_id, event, cast(null as double) as quantity, cast(null as double) as price, channel,
  event_ts, cast(timezone('Europe/Berlin', timezone('UTC', event_ts)) as date) as event_date, 'browse' as feed,
  filename, line
from typed
where event_ts is not null and event is not null and (item_id is not null or event = 'search')
union all
select
  user_id, null, item_id, case when status = 'sale' then 'purchase' else 'return' end, abs(quantity), unit_price,
  channel, ordered_at, order_date, 'orders', filename, line
from {{ ref('core_order_lines') }}
where is_product
