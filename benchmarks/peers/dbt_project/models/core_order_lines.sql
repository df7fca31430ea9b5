with lines as (
  select row_number() over () as line, * from read_csv(
    '{{ env_var("PEERS_LANDING") }}/orders/*.csv', header = true, all_varchar = true, filename = true, ignore_errors = true
  )
),
deduplicated as (
  select * from lines
  qualify row_number() over (
    partition by "order", ordered_at, customer, sku, title, quantity, unit_price, status, device order by filename, line
  ) = 1
),
typed as (
  select
    nullif(trim("order"), '') as order_id,
    nullif(trim(customer), '') as user_id,
    upper(nullif(trim(sku), '')) as item_id,
    nullif(trim(title), '') as item_name,
    try_cast(quantity as double) as quantity,
    unit_price as given_price,
    try_cast(unit_price as double) as unit_price,
    case status when 'paid' then 'sale' when 'returned' then 'return' when 'cancelled' then 'cancellation' end as status,
    nullif(trim(device), '') as channel,
    try_strptime(ordered_at, '%Y-%m-%d %H:%M:%S') as ordered_local,
    filename,
    line
  from deduplicated
)
select
  order_id, user_id, item_id, item_name, quantity, unit_price, quantity * unit_price as amount, 'EUR' as currency,
  status, item_id <> 'SHIPPING' as is_product, channel,
  timezone('UTC', timezone('Europe/Berlin', ordered_local)) as ordered_at, cast(ordered_local as date) as order_date,
  filename, line
from typed
where order_id is not null and item_id is not null and ordered_local is not null
  and (given_price is null or unit_price >= 0)
  and ((status = 'sale' and quantity > 0) or (status <> 'sale' and quantity < 0))
